"""`dftiny detect` on pictures as people have them: awkward files, what is said beside a verdict, maps."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dftiny import graph as graphs
from dftiny import int8, spec
from dftiny.artifact import read_manifest
from dftiny.data.photos import texture as data_texture
from dftiny.detect import detect_command
from dftiny.detect.picture import open_picture, upright
from dftiny.errors import CheckFailed, DftError
from dftiny.verdict.file import load_verdict
from dftiny.verdict.order import offered, spread, texture

RELEASED = spec.models_dir() / "phinet_demo_128.demo"
Detect = Callable[..., dict[str, object]]


def natural(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Something with texture and many colours, uint8 [height, width, 3]: golden tiles side by side."""
    with np.load(RELEASED / "golden.npz") as packed:
        tiles = packed["tiles"][packed["labels"] == 1]
    rows, columns = -(-height // 128), -(-width // 128)
    rng = np.random.default_rng(seed)
    grid = [
        np.concatenate([tiles[rng.integers(len(tiles))] for _ in range(columns)], axis=1) for _ in range(rows)
    ]
    return np.ascontiguousarray(np.concatenate(grid)[:height, :width])


def png16(path: Path, pixels: NDArray[np.uint16]) -> None:
    """A PNG with 16 bits a channel, [H, W, 3] or grey [H, W]: Pillow cannot write the coloured one."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, 16, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows, 1))
        + chunk(b"IEND", b"")
    )


def bomb(path: Path) -> None:
    """A PNG of a few hundred bytes that says it has 50,000 x 50,000 pixels."""
    small = io.BytesIO()
    Image.new("1", (8, 8)).save(small, "PNG")
    data = bytearray(small.getvalue())
    data[16:24] = struct.pack(">II", 50_000, 50_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    path.write_bytes(bytes(data))


@pytest.fixture
def detect(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Detect:
    """`detect(paths…, **options)` → the JSON object that was printed."""

    def run(*paths: Path, **options: object) -> dict[str, object]:
        detect_command(paths, runs=tmp_path / "runs", as_json=True, **options)  # type: ignore[arg-type]
        value: dict[str, object] = json.loads(capsys.readouterr().out)
        return value

    return run


def one(detect: Detect, path: Path, **options: object) -> dict[str, object]:
    photos = detect(path, **options)["photos"]
    assert isinstance(photos, list)
    assert len(photos) == 1
    return dict(photos[0])


READABLE: dict[str, tuple[Callable[[Path], None], list[str], str]] = {
    "cmyk.jpg": (lambda p: Image.fromarray(natural(300, 400)).convert("CMYK").save(p, quality=90), ["CMYK"], "compressed"),
    "grey.png": (lambda p: Image.fromarray(natural(300, 400)).convert("L").save(p), ["grey"], "lossless"),
    "alpha.png": (lambda p: Image.fromarray(np.dstack([natural(300, 400), np.full((300, 400), 9, np.uint8)])).save(p), ["transparency"], "lossless"),
    "alpha.webp": (lambda p: Image.fromarray(np.dstack([natural(300, 400), np.full((300, 400), 9, np.uint8)])).save(p, lossless=True, exact=True), ["transparency"], "lossless"),
    "deep.png": (lambda p: png16(p, natural(300, 400).astype(np.uint16) * 257), ["16 bits"], "lossless"),
    "deep-grey.png": (lambda p: png16(p, natural(300, 400)[:, :, 0].astype(np.uint16) * 257), ["16 bits", "grey"], "lossless"),
    "turned.jpg": (lambda p: Image.fromarray(natural(300, 400)).save(p, quality=95, exif=_turned(6)), [], "compressed"),
    "animated.webp": (lambda p: Image.fromarray(natural(300, 400)).save(p, save_all=True, append_images=[Image.fromarray(natural(300, 400, 1))], lossless=True), ["first of 2 frames"], "lossless"),
    "palette.png": (lambda p: Image.fromarray(natural(300, 400)).quantize(32).save(p), ["palette"], "lossless"),
    "lossy.webp": (lambda p: Image.fromarray(natural(300, 400)).save(p, quality=80), [], "compressed"),
}  # fmt: skip


def _turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("name", READABLE)
def test_awkward_but_readable(name: str, detect: Detect, tmp_path: Path) -> None:
    make, notes, condition = READABLE[name]
    make(tmp_path / name)
    found = one(detect, tmp_path / name)
    assert (found["width"], found["height"], found["grid"]) == (400, 300, [2, 3])
    assert found["condition"] == condition
    assert 1 <= found["tiles"] <= found["offered"] == 6
    assert found["verdict"] in ("real", "fake", "undecided")
    for note in notes:
        assert any(note in n for n in found["notes"]), found["notes"]


def test_pixels_of_awkward_files_are_those_of_the_plain_one(tmp_path: Path) -> None:
    plain = natural(130, 140)
    for name in ("alpha.png", "alpha.webp", "deep.png"):
        pixels = natural(300, 400)
        READABLE[name][0](tmp_path / name)
        assert np.array_equal(open_picture(tmp_path / name).pixels, pixels), name
    Image.fromarray(plain).save(tmp_path / "plain.png")
    assert np.array_equal(open_picture(tmp_path / "plain.png").pixels, plain)


UNREADABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "bomb.png": (bomb, "too large to decode"),
    "text.jpg": (lambda p: p.write_text("not a picture"), "not a PNG, JPEG or WebP"),
    "empty.png": (lambda p: p.write_bytes(b""), "not a PNG, JPEG or WebP"),
    "other.gif": (lambda p: Image.new("RGB", (200, 200)).save(p), "not a PNG, JPEG or WebP"),
    "strip.png": (lambda p: Image.new("1", (40_000, 2)).save(p), "40000x2"),
    "folder.png": (lambda p: p.mkdir(), "is a folder"),
    "absent.png": (lambda p: p.unlink(missing_ok=True), "does not exist"),
    "cut.jpg": (lambda p: (Image.fromarray(natural(300, 400)).save(p), p.write_bytes(p.read_bytes()[:9000])), "truncated"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_is_one_sentence(name: str, tmp_path: Path) -> None:
    make, words = UNREADABLE[name]
    make(tmp_path / name)
    with pytest.raises(DftError, match=words) as caught:
        open_picture(tmp_path / name)
    assert name in str(caught.value)


def test_an_unreadable_one_does_not_stop_the_others(tmp_path: Path) -> None:
    Image.fromarray(natural(200, 200)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("no")
    UNREADABLE["cut.jpg"][0](tmp_path / "cut.jpg")
    names = ["bad.png", "cut.jpg", "good.png"]
    done = subprocess.run(
        [sys.executable, "-m", "dftiny.cli", "detect", *(str(tmp_path / n) for n in names)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert done.returncode == 2
    assert len(lines) == 4
    assert lines[0].startswith(f"{tmp_path / 'bad.png'}: not read")
    assert lines[1].startswith(f"{tmp_path / 'cut.jpg'}: not read: ")
    assert lines[1].count("cut.jpg") == 1
    assert "undecided" in lines[2] or "real" in lines[2] or "fake" in lines[2]
    assert "simulated" in lines[3]
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_map_that_cannot_be_written_is_no_picture_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(natural(200, 200)).save(tmp_path / "good.png")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DftError, match=r"file/map\.png") as caught:
        detect_command([tmp_path / "good.png"], runs=tmp_path, map_path=tmp_path / "file/map.png")
    assert "\n" not in str(caught.value)
    assert "not read" not in capsys.readouterr().out


def drawing() -> NDArray[np.uint8]:
    canvas = np.full((512, 512, 3), 255, np.uint8)
    for i in range(0, 512, 16):
        canvas[i : i + 8, :, :] = (30, 60, 200) if i % 32 else (200, 30, 30)
    return canvas


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.full((512, 512, 3), 90, np.uint8), "flat"),
        (natural(100, 500), "smaller than one tile"),
        (drawing(), "few colours"),
        (np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8), "noise"),
        (np.clip(natural(512, 512).astype(int) * 8, 0, 255).astype(np.uint8), "black or white"),
    ],
    ids=["flat", "tiny", "drawn", "noise", "blown out"],
)
def test_unlike_anything_in_training_is_said_and_never_judged(
    pixels: NDArray[np.uint8], words: str, detect: Detect, tmp_path: Path
) -> None:
    Image.fromarray(pixels).save(tmp_path / "odd.png")
    found = one(detect, tmp_path / "odd.png")
    assert found["verdict"] == "undecided"
    assert found["p_real"] is None
    assert any(words in w for w in found["warnings"]), found["warnings"]


def test_golden_fakes_and_reals_do_not_warn(detect: Detect, tmp_path: Path) -> None:
    Image.fromarray(natural(512, 640)).save(tmp_path / "usual.png")
    assert one(detect, tmp_path / "usual.png")["warnings"] == []


def test_a_map_lies_upright_and_its_tiles_where_they_were_looked_at(detect: Detect, tmp_path: Path) -> None:
    """A picture stored on its side: left half sky, right half texture; upright the texture is below."""
    pixels = natural(256, 512)
    pixels[:, :256] = 120
    Image.fromarray(pixels).save(tmp_path / "side.jpg", quality=100, subsampling=0, exif=_turned(6))
    found = one(detect, tmp_path / "side.jpg", map_path=tmp_path / "map.png")
    assert found["offered"] == 4
    with Image.open(tmp_path / "map.png") as image:
        shown = np.asarray(image).astype(int)
    assert shown.shape[1] >= 256
    above, below = shown[:256, :256], shown[256:512, :256]
    assert np.abs(above - above[:, :, :1]).max() == 0  # grey: nothing to say there
    assert np.abs(below[:, :, 0] - below[:, :, 2]).mean() > 20


def test_a_progress_bar_leaves_the_json_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Image.fromarray(natural(1024, 768)).save(tmp_path / "large.png")  # more tiles than one step of the bar
    detect_command([tmp_path / "large.png"], runs=tmp_path, as_json=True, map_path=tmp_path / "m.png")
    captured = capsys.readouterr()
    assert json.loads(captured.out)["photos"][0]["map"] == str(tmp_path / "m.png")
    assert "map large.png" in captured.err


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_turns_as_pillow_does(orientation: int) -> None:
    from PIL import ImageOps

    pixels = np.random.default_rng(orientation).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "PNG", exif=_turned(orientation))
    with Image.open(stored) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(upright(pixels, orientation), wanted)


def test_one_map_file_for_two_photographs_is_refused_and_nothing_written(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.fromarray(natural(130, 130)).save(tmp_path / name)
    with pytest.raises(DftError, match="folder"):
        detect_command([tmp_path / "a.png", tmp_path / "b.png"], runs=tmp_path, map_path=tmp_path / "m.png")
    assert not (tmp_path / "m.png").exists()


def test_the_order_is_a_permutation_that_spreads() -> None:
    for rows, columns in ((1, 1), (4, 4), (3, 7), (8, 8)):
        order = spread(rows, columns)
        assert sorted(order.tolist()) == list(range(rows * columns))
    first = spread(8, 8)[:4]
    corners = {(int(n) // 8 // 4, int(n) % 8 // 4) for n in first}
    assert len(corners) == 4


def test_flat_tiles_are_never_shown() -> None:
    textures = np.array([0.5, 3, 0.2, 4], np.float32)
    assert sorted(offered(2, 2, textures, 64).tolist()) == [1, 3]
    assert len(offered(8, 8, np.full(64, 5, np.float32), 16)) == 16


def test_texture_is_the_data_sets_own() -> None:
    tile = natural(128, 128)
    assert texture(tile[None])[0] == pytest.approx(data_texture(tile), rel=1e-5)


def test_a_model_without_verdict_and_a_changed_verdict_are_refused(tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "model"
    shutil.copytree(RELEASED, copy)
    (copy / "verdict.json").write_text((copy / "verdict.json").read_text().replace("lossless", "lossIess"))
    with pytest.raises(CheckFailed, match="verdict"):
        detect_command([tmp_path / "x.png"], runs=tmp_path, model=copy)
    with pytest.raises(DftError, match="no folder"):
        detect_command([tmp_path / "x.png"], runs=tmp_path, model=tmp_path / "none")


def test_the_released_verdict_is_of_its_model() -> None:
    manifest = read_manifest(RELEASED, "model")
    assert "verdict.json" in manifest.files
    verdict = load_verdict(RELEASED / "verdict.json")
    graph = graphs.load(RELEASED / "model.tflite")
    assert verdict.tile == graph.input.shape[1]
    model = verdict.model(graph.output.scale, graph.output.zero_point)
    with np.load(RELEASED / "golden.npz") as packed:
        outputs = int8.run(graph, int8.from_pixels(packed["tiles"]))[:, 0].astype(int)
        real = packed["labels"] == 1
    evidence = model.evidence[outputs + 128].astype(int)
    assert evidence[real].mean() > 0 > evidence[~real].mean()


def test_damaged_files_are_read_or_refused_never_a_traceback(tmp_path: Path) -> None:
    """300 damaged files; 6,000 were tried once."""
    pixels = natural(64, 64)
    seeds = []
    for kind, options in (
        ("PNG", {}),
        ("JPEG", {"exif": _turned(6)}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {}),
    ):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind, **options)  # type: ignore[arg-type]
        seeds.append(buffer.getvalue())
    rng, path = np.random.default_rng(0), tmp_path / "damaged"
    refused = 0
    for number in range(300):
        data = bytearray(seeds[number % len(seeds)])
        for _ in range(int(rng.integers(1, 6))):
            at = int(rng.integers(min(len(data), int(rng.choice([40, 200, len(data)])))))
            data[at : at + int(rng.integers(3))] = rng.bytes(int(rng.integers(3)))
        path.write_bytes(data)
        try:
            assert open_picture(path).pixels.dtype == np.uint8
        except DftError:
            refused += 1
    assert 30 < refused < 300


def test_a_board_without_a_bundle_is_told_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DftError, match="dftiny export"):
        detect_command([tmp_path / "x.png"], runs=tmp_path, port="/dev/ttyNONE")
