# The compiled extension; its functions are described in the headers of ffbind/csrc and in build_ffi.py.
from typing import Any

ffi: Any
lib: Any
