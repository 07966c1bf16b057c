# Three stages: `dev` (tools, the source is mounted), `builder` (makes a wheel), `prod` (runs the server; no compiler, not root).
#
#   docker build --target prod -t bucket-streamer .
#   docker run --rm -p 3000:3000 -v "$PWD/data:/data:ro" bucket-streamer

FROM debian:bookworm-slim AS dev
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates ffmpeg gcc git libavcodec-dev libavformat-dev libavutil-dev libc6-dev libswscale-dev libturbojpeg0-dev \
        pkg-config python3 python3-dev python3-venv shellcheck strace valgrind \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /workspace
CMD ["./dev", "test"]

FROM dev AS builder
COPY . /workspace
RUN python3 -m venv /opt/streamer \
    && /opt/streamer/bin/pip install --no-cache-dir /workspace

FROM debian:bookworm-slim AS prod
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        libavcodec59 libavformat59 libavutil57 libswscale6 libturbojpeg0 python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin streamer \
    && mkdir /data
COPY --from=builder /opt/streamer /opt/streamer
ENV PATH=/opt/streamer/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    STREAMER_LISTEN_ADDR=0.0.0.0:3000 \
    STREAMER_LOCAL_PATH=/data
USER streamer
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:3000/health', timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["streamer", "serve"]
