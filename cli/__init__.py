"""The command line of bucket-streamer: `streamer serve`, `bench`, `decode`, `index`, `doctor` and `config`.

Installed as the package `streamer_cli`. It holds the terminal side only; what a program would want is in
ffbind and streamer.
"""

__all__: list[str] = []
