"""Writes the seeds of the fuzz targets that need a form of their own, from archives of the tests.

    python3 fuzz/make_corpus.py

corpus/archive: the records of an archive as text (see archive_fuzz.cpp); corpus/pickle: the pickles inside of
archives. Text, zip and backend targets take test/zp, test/formats/data and backends as they are.
"""
import io
import json
import pathlib
import zipfile

HERE = pathlib.Path(__file__).parent
DATA = HERE.parent / "test" / "formats" / "data"
SKIPPED = ("serialization_id", ".data/version", "storage_alignment", "format_version", "byteorder")


def without_metadata(text):
    """Node metadata emptied: stack traces are most of a file."""

    def strip(value):
        if isinstance(value, dict):
            if isinstance(value.get("metadata"), dict) and "target" in value:
                value["metadata"] = {}
            for inner in value.values():
                strip(inner)
        elif isinstance(value, list):
            for inner in value:
                strip(inner)

    tree = json.loads(text)
    strip(tree)
    return json.dumps(tree)


def main():
    archives, pickles = HERE / "corpus" / "archive", HERE / "corpus" / "pickle"
    for folder in (archives, pickles):
        folder.mkdir(parents=True, exist_ok=True)
    seen = set()
    for path in sorted(DATA.glob("*.pt2")):
        out = bytearray()
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                content = archive.read(name)
                if content[:4] == b"PK\3\4":
                    with zipfile.ZipFile(io.BytesIO(content)) as inner:
                        for part in inner.namelist():
                            if part.endswith("data.pkl") and inner.read(part) not in seen:
                                seen.add(inner.read(part))
                                (pickles / f"{path.stem}-{len(seen)}").write_bytes(inner.read(part))
                if name.endswith(SKIPPED) or "sample_inputs" in name:
                    continue
                if name.endswith(".json") and b'"graph_module"' in content:
                    content = without_metadata(content).encode()
                out += b"%%% " + name.encode() + b"\n" + content
        (archives / path.stem).write_bytes(bytes(out))


if __name__ == "__main__":
    main()
