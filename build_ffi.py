"""Build script of ffbind._native: FFmpeg's libav* and our own C, bound by cffi in API mode (out of line, limited API).

`ffibuilder` is what setuptools asks for (`cffi_modules` in setup.py); `python build_ffi.py` compiles in place.

Two kinds of declarations go to cffi:

- `LIBAV`, below: the part of libavformat, libavcodec, libavutil and libswscale that Python speaks to. Structs end in
  `...;`, so the C compiler fills in the layout of whichever FFmpeg (5.1 to 9) is installed.
- our own functions: the block between `/* cdef */` and `/* end cdef */` in each header of ffbind/csrc, so that a
  signature is written once.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent
CSRC = ROOT / "ffbind" / "csrc"
LIBRARIES = {
    "libavformat": "59.27",
    "libavcodec": "59.37",
    "libavutil": "57.28",
    "libswscale": "6.7",
}  # FFmpeg 5.1

C_FLAGS = ("-std=c11", "-D_DEFAULT_SOURCE", "-O3", "-fvisibility=hidden")

LIBAV = r"""
/* libavutil */
unsigned avutil_version(void);
const char *avutil_license(void);
const char *av_version_info(void);
int av_strerror(int errnum, char *errbuf, size_t errbuf_size);
void av_log_set_level(int level);
#define AV_LOG_FATAL ...
#define AVERROR_EOF ...
#define AV_NOPTS_VALUE ...
#define AVCOL_RANGE_JPEG ...
#define AVERROR_INVALIDDATA ...
#define AVERROR_EXTERNAL ...
#define AVERROR_PATCHWELCOME ...
#define AVERROR_EXIT ...
typedef struct AVRational { int num; int den; ...; } AVRational;
typedef struct AVDictionary AVDictionary;
int av_dict_set(AVDictionary **pm, const char *key, const char *value, int flags);
void av_dict_free(AVDictionary **m);

typedef struct AVFrame { int width; int height; int format; int64_t pts; ...; } AVFrame;
AVFrame *av_frame_clone(const AVFrame *src);
void av_frame_free(AVFrame **frame);

const char *av_get_pix_fmt_name(int pix_fmt);

/* libavcodec */
unsigned avcodec_version(void);
const char *avcodec_get_name(int id);
#define AV_CODEC_ID_HEVC ...
typedef struct AVPacket {
    uint8_t *data; int size; int64_t pts; int64_t dts; int64_t duration; int64_t pos; int flags; int stream_index; ...;
} AVPacket;
AVPacket *av_packet_alloc(void);
void av_packet_free(AVPacket **pkt);
void av_packet_unref(AVPacket *pkt);
typedef struct AVCodecParameters {
    int codec_type; int codec_id; uint8_t *extradata; int extradata_size; int width; int height;
    int color_range; int color_primaries; int color_trc; int color_space; ...;
} AVCodecParameters;

/* libavformat */
unsigned avformat_version(void);
#define AVMEDIA_TYPE_VIDEO ...
#define AVMEDIA_TYPE_AUDIO ...
typedef struct AVIOContext { int error; int eof_reached; ...; } AVIOContext;
typedef struct AVInputFormat { const char *name; const char *long_name; ...; } AVInputFormat;
typedef struct AVStream {
    int index; int id; AVCodecParameters *codecpar; AVRational time_base; AVRational sample_aspect_ratio; ...;
} AVStream;
typedef struct AVFormatContext {
    unsigned int nb_streams; AVStream **streams; AVIOContext *pb; ...;
} AVFormatContext;
int avformat_find_stream_info(AVFormatContext *ic, AVDictionary **options);
int av_read_frame(AVFormatContext *s, AVPacket *pkt);
int64_t avio_size(AVIOContext *s);
int64_t avio_seek(AVIOContext *s, int64_t offset, int whence);
int avio_read(AVIOContext *s, unsigned char *buf, int size);

/* libswscale */
unsigned swscale_version(void);

/* called by ffbind/csrc/input.c, defined in ffbind/avio.py */
extern "Python+C" int ffb_source_read(void *handle, int64_t position, uint8_t *buffer, int size);
"""

PREAMBLE = """
#include <libavutil/avutil.h>
#include <libavutil/dict.h>
#include <libavutil/error.h>
#include <libavutil/frame.h>
#include <libavutil/pixdesc.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
"""

INSTALL_HINT = """\
ffbind needs {what}. Install it and build again:
  Debian, Ubuntu:  apt-get install gcc pkg-config python3-dev libavformat-dev libavcodec-dev libavutil-dev libswscale-dev
  Fedora:          dnf install gcc pkgconf-pkg-config python3-devel ffmpeg-free-devel
  macOS:           brew install pkg-config ffmpeg"""


def fail(what: str) -> None:
    """Stop the build with one sentence that says what is missing and how to get it."""
    sys.exit(INSTALL_HINT.format(what=what))


def pkg_config(*arguments: str) -> list[str]:
    """Ask pkg-config for flags of the FFmpeg libraries."""
    program = os.environ.get("PKG_CONFIG", "pkg-config")
    if shutil.which(program) is None:
        fail(f"{program!r}, which finds FFmpeg's headers")
    for library, version in LIBRARIES.items():
        if subprocess.run([program, "--exists", f"{library} >= {version}"], check=False).returncode != 0:
            fail(f"the headers of FFmpeg's {library} (5.1 or later)")
    done = subprocess.run([program, *arguments, *LIBRARIES], check=True, capture_output=True, text=True)
    return shlex.split(done.stdout)


def check_compiler() -> None:
    """See that there is a C compiler, and the headers of this Python."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        fail(f"a C compiler ({compiler!r} was not found; CC names another)")
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        fail("the C headers of Python")


def own_declarations() -> str:
    """Collect the cdef blocks of our headers, in the order of the file names."""
    blocks = []
    for header in sorted(CSRC.glob("*.h")):
        blocks += re.findall(r"/\* cdef \*/\n(.*?)/\* end cdef \*/", header.read_text(), flags=re.DOTALL)
    return "\n".join(blocks)


def make_builder() -> FFI:
    """Describe the extension module to cffi."""
    check_compiler()
    builder = FFI()
    builder.cdef(LIBAV + own_declarations())
    headers = "".join(f'#include "{header.name}"\n' for header in sorted(CSRC.glob("*.h")))
    flags = pkg_config("--cflags")
    links = pkg_config("--libs")
    builder.set_source(
        "ffbind._native",
        PREAMBLE + headers,
        sources=[str(source.relative_to(ROOT)) for source in sorted(CSRC.glob("*.c"))],
        depends=[str(header.relative_to(ROOT)) for header in sorted(CSRC.glob("*.h"))],
        include_dirs=[str(CSRC.relative_to(ROOT))],
        extra_compile_args=[*C_FLAGS, *flags, *shlex.split(os.environ.get("FFBIND_CFLAGS", ""))],
        extra_link_args=[*links, *shlex.split(os.environ.get("FFBIND_LDFLAGS", ""))],
        py_limited_api=True,
    )
    return builder


# cffi's setuptools hook imports this name.
ffibuilder = make_builder()

if __name__ == "__main__":
    os.chdir(ROOT)
    ffibuilder.compile(verbose=bool(os.environ.get("VERBOSE")))
