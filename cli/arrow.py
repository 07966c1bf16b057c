"""Tables for other people's tools: samples as Parquet or as an Arrow file, by pyarrow where it is installed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .console import Mistake

__all__ = ["ARROW_SUFFIXES", "need_pyarrow", "write_table"]

ARROW_SUFFIXES = (".parquet", ".arrow")


def need_pyarrow(path: Path) -> None:
    """Raise Mistake where pyarrow, which writes `path`, is not installed."""
    if find_spec("pyarrow") is None:
        raise Mistake(
            f"{path}: pyarrow writes it; install it with: pip install 'bucket-streamer[parquet]'", 1
        )


def write_table(path: Path, columns: Mapping[str, Sequence[object]], facts: Mapping[str, Any]) -> None:
    """Write columns of equal length to a file whose suffix says the format; `facts`, as JSON, are the schema's metadata."""
    import pyarrow
    from pyarrow import feather, parquet

    kinds = {
        "frame": pyarrow.int32(),
        "offset": pyarrow.uint64(),
        "size": pyarrow.uint32(),
        "irap_offset": pyarrow.uint64(),
        "time": pyarrow.float64(),
        "duration": pyarrow.float64(),
        "kind": pyarrow.string(),
    }
    schema = pyarrow.schema([(name, kinds[name]) for name in columns], metadata={"video": json.dumps(facts)})
    table = pyarrow.table(dict(columns), schema=schema)
    with path.open("wb") as file:  # by Python, whose errors name the file
        if path.suffix.lower() == ".parquet":
            parquet.write_table(table, file)
        else:
            feather.write_feather(table, file)
