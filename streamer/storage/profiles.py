"""What the profile in ~/.aws/config says, for those who have set up the tools of Amazon once and for all."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

__all__ = ["ProfileError", "from_profile"]


class ProfileError(ValueError):
    """A file of profiles that cannot be used; the message says which and why."""


def from_profile(name: str, variables: Mapping[str, str]) -> tuple[str, Path] | None:
    """Give a value of the profile that AWS_PROFILE names, else of the one called default, and the file that it is in.

    The file is AWS_CONFIG_FILE, else .aws/config in HOME; both are looked up in `variables`, as AWS_PROFILE is. None where there is
    no such file, profile or value. Raises ProfileError.
    """
    named, home = variables.get("AWS_CONFIG_FILE"), variables.get("HOME")
    if not named and not home:
        return None
    path = Path(named).expanduser() if named else Path(home or "", ".aws", "config")
    profile = variables.get("AWS_PROFILE") or "default"
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError, configparser.Error):
        raise ProfileError(
            f"{path} cannot be read as a file of profiles; mend it, or name another with AWS_CONFIG_FILE"
        ) from None
    for section in (f"profile {profile}", profile):  # the default one is written without the word
        value = parser.get(section, name, fallback="").strip()
        if value:
            return value, path
    return None
