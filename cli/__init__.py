"""The command line of bucket-streamer: `streamer serve`, `bench`, `decode` and `index`.

Installed as the package `streamer_cli`. It holds the terminal side only; what a program would want is in
ffbind and streamer.
"""

__all__: list[str] = []
