"""The generated code of the platform's messages matches its ``.proto`` files."""

from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parents[2]
PROTO = ROOT / "resources/platform/proto"


def test_the_generated_code_is_that_of_the_proto_files(tmp_path):
    files = sorted(str(file.relative_to(ROOT)) for file in PROTO.glob("*.proto"))
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi")]
    assert protoc.main(["protoc", f"-I{ROOT}", *outputs, *files]) == 0
    made = {file.name: file.read_text() for file in (tmp_path / "resources/platform/proto").iterdir()}
    assert len(made) == 2 * len(files)
    kept = {file.name: file.read_text() for file in PROTO.glob("*_pb2*.py*") if file.is_file()}
    assert kept == made, "run `make protos`"
