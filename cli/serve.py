"""`streamer serve`: the WebSocket server on the terminal."""
