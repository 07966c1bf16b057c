"""bucket-streamer's server: exact HEVC frames over WebSocket, with its storage back-ends and a client."""

__all__: list[str] = []
