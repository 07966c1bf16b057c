"""What pyproject.toml cannot say: which cffi builder makes the extension module, and that one wheel serves 3.11 and later."""

from setuptools import setup

setup(cffi_modules=["build_ffi.py:ffibuilder"], options={"bdist_wheel": {"py_limited_api": "cp311"}})
