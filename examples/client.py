"""A client of the WebSocket protocol in nothing but `websockets` and `json`.

streamer serve --local-path videos
streamer index videos/drive.mp4              # where the offsets come from
python examples/client.py ws://127.0.0.1:3000/ws drive.mp4 IRAP_OFFSET OFFSET...
"""

import json
import sys

from websockets.sync.client import connect

if len(sys.argv) < 5:
    sys.exit(__doc__)
url, path, irap_offset, *offsets = sys.argv[1:]

with connect(url, max_size=None, compression=None) as socket:
    socket.send(json.dumps({"type": "SetVideo", "path": path}))
    answer = json.loads(socket.recv())
    if not answer["ok"]:
        sys.exit(json.loads(socket.recv())["message"])

    frames = [{"offset": int(offset), "index": number} for number, offset in enumerate(offsets)]
    socket.send(json.dumps({"type": "RequestFrames", "irap_offset": int(irap_offset), "frames": frames}))
    for _ in frames:
        answer = json.loads(socket.recv())
        if answer["type"] == "Frame":
            jpeg = socket.recv()
            assert len(jpeg) == answer["size"]
            name = f"frame-{answer['index']}.jpg"
            with open(name, "wb") as file:
                file.write(jpeg)
            print(f"{name}: {answer['size']} bytes")
        else:
            print(f"offset {answer['offset']}: {answer['code']}: {answer['message']}")
