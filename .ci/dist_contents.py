"""`python .ci/dist_contents.py DIST`: the wheel and the sdist hold what is committed, all of it that belongs there and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

# Of what an installed package needs nothing, but its tests and its docs, which come with the source.
_WITH_THE_SOURCE = (".ci/", "benchmarks/", "docs/", "examples/", "tests/")
_WRITTEN_BY_THE_BUILD = {".gitignore", "PKG-INFO", "pyproject.toml"}


def main(folder: Path) -> int:
    tracked = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True).stdout.split("\0")
    package = {name for name in tracked if name.startswith("datafast/")}
    top = {name for name in tracked if name and "/" not in name and not name.startswith(".")}
    source = package | top | {name for name in tracked if name.startswith(_WITH_THE_SOURCE)}
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
    with tarfile.open(sdist) as tar:
        in_sdist = {member.name.partition("/")[2] for member in tar if member.isfile()} - _WRITTEN_BY_THE_BUILD
    problems = [
        f"{path.name}: {what} {name}"
        for path, wanted, found in (
            (wheel, package, in_wheel),
            (sdist, source - _WRITTEN_BY_THE_BUILD, in_sdist),
        )
        for what, names in (("lacks", wanted - found), ("should not hold", found - wanted))
        for name in sorted(names)
    ]
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{wheel.name}: {len(in_wheel)} files; {sdist.name}: {len(in_sdist)} files")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
