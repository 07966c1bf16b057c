"""Callgrind profiles: what is summed where."""

from __future__ import annotations

from benchmarks.instructions import by_library

PROFILE = """events: Ir
ob=(1) /lib/libavcodec.so.59
fl=(1) a.c
fn=(1) decode
10 100
+3 20
cob=(2) /lib/libc.so.6
cfn=(2) memset
calls=4 50
* 400
cfn=(1)
calls=1 10
* 120
12 3

ob=(2)
fn=(2)
50 400
51 600

ob=(3) /lib/libpython3.so
fn=(3) eval
7 1000
cob=(2)
cfn=(2)
calls=1 51
* 600
cob=(1)
cfn=(1)
calls=1 10
* 523
"""


def test_own_cost_is_summed_and_the_c_library_counts_for_the_decoder_that_called_it() -> None:
    assert by_library(PROFILE) == {
        "/lib/libavcodec.so.59": 123 + 400,
        "/lib/libc.so.6": 600,
        "/lib/libpython3.so": 1000,
    }
