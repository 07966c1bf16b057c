"""Decode lanes: worker processes that keep decoders open, and the pool that feeds and replaces them."""

__all__: list[str] = []
