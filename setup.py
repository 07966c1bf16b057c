"""The one thing pyproject.toml cannot say: which cffi builder makes the extension module."""

from setuptools import setup

setup(cffi_modules=["build_ffi.py:ffibuilder"])
