"""The short form of tools/campaign link: every kind of fault, and what must hold without a clock."""

from __future__ import annotations

import numpy as np
import pytest
from link_campaign import FAULTS, Bed, flags_of, make_bed, run_tiles

from dftiny.errors import CheckFailed, DftError
from dftiny.link.boards import host_board
from dftiny.link.device import Device
from dftiny.link.pack import Geometry
from dftiny.link.rate import lower_rate, raise_rate
from dftiny.link.transport import LinkLost, open_pty


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Bed:
    return make_bed(tmp_path_factory.mktemp("link"), 32)


@pytest.mark.parametrize("name", [n for n in FAULTS if "0.5 %" not in n])
def test_no_fault_makes_a_result_wrong_missing_or_double(name: str, bed: Bed) -> None:
    run = run_tiles(bed, 60, flags_of(name, 4))
    assert (run.wrong, run.missing) == (0, 0)


def test_faults_do_happen(bed: Bed) -> None:
    """Else the test above would prove nothing."""
    run = run_tiles(bed, 250, flags_of("all of them, 1 % each", 2))
    assert (run.wrong, run.missing) == (0, 0)
    assert run.count["frames_bad"] > 0
    assert run.count["retries"] > 3
    assert run.count["resets"] > 0


def test_the_outputs_tell_tiles_apart(bed: Bed) -> None:
    assert len(np.unique(bed.answers, axis=0)) > len(bed.answers) // 2


def test_little_is_sent_besides_the_tiles(bed: Bed) -> None:
    """At any rate of the line, 90 % of what goes out are the tiles' own bytes."""
    run = run_tiles(bed, 40, [])
    assert run.count["input_bytes"] == 40 * bed.tiles[0].size
    assert run.count["input_bytes"] > 0.9 * run.count["bytes_sent"]


def test_the_next_tile_arrives_while_one_is_computed(bed: Bed) -> None:
    """With slow operators: pieces of the next image are acknowledged before the result of the one before."""
    lines: list[str] = []
    with host_board(bed.elf, ["--slow=4000"]) as link:
        device = Device(link, trace=lines.append)
        assert "overlap" in device.hello().claims
        results = list(device.run(t.tobytes() for t in bed.tiles[:4]))
    assert [r.output.tolist() for r in results] == bed.answers[:4].tolist()
    kinds = [
        "done" if "status=0 ticks" in x else "piece" if "← " in x and "input_reply" in x else ""
        for x in lines
    ]
    before_first = kinds[: kinds.index("done")]
    assert before_first.count("piece") > bed.tiles[0].size // device._pace.piece_max + 1


def test_packed_tiles_give_the_same_results_with_fewer_bytes(bed: Bed) -> None:
    run = run_tiles(bed, 20, ["--baud=3000000"], packed=True)
    assert (run.wrong, run.missing) == (0, 0)
    assert run.count["packed_bytes"] < 0.85 * run.count["input_bytes"]


def test_a_rate_is_raised_as_far_as_the_line_goes_and_left_as_it_was(bed: Bed) -> None:
    with host_board(bed.elf, ["--baud=115200:2000000"]) as link:
        device = Device(link)
        device.identity = device.hello()
        assert raise_rate(device) == 2_000_000  # 3000000 came to nothing, and both sides fell back
        assert device.hello().baud == 2_000_000
        assert device.infer(bed.tiles[3].tobytes()).output.tolist() == bed.answers[3].tolist()
        lower_rate(device)
        assert device.hello().baud == 115_200


def test_a_reset_at_a_raised_rate_is_found_again_at_the_usual_one(bed: Bed) -> None:
    with host_board(bed.elf, ["--baud=115200", "--reset-at=30000"]) as link:
        device = Device(link)
        device.identity = device.hello()
        assert raise_rate(device) == 3_000_000
        results = list(device.run(t.tobytes() for t in bed.tiles[:12]))
        assert device.count.resets == 1
        assert device.hello().baud == 115_200
    assert [r.output.tolist() for r in results] == bed.answers[:12].tolist()


def test_a_board_left_at_a_raised_rate_finds_back_for_the_next_host(bed: Bed) -> None:
    with host_board(bed.elf, ["--baud=115200"]) as link:
        first = Device(link)
        first.identity = first.hello()
        assert raise_rate(first) == 3_000_000
        assert link.set_baud(115_200)  # killed: the next one begins at the usual rate
        assert Device(link).hello().baud == 115_200


def test_a_second_host_on_the_port_is_refused(bed: Bed) -> None:
    with host_board(bed.elf) as link, pytest.raises(DftError, match="in use by another program"):
        open_pty(link.name)


def test_a_host_whose_board_was_taken_over_ends_with_a_sentence(bed: Bed) -> None:
    """Two hosts behind one server, which no lock can see: the first is told, the second goes on."""
    with host_board(bed.elf) as link:
        first, second = Device(link), Device(link)
        first.infer(bed.tiles[0].tobytes())
        answer = second.infer(bed.tiles[1].tobytes())
        assert answer.output.tolist() == bed.answers[1].tolist()
        with pytest.raises(CheckFailed, match="another program has taken over") as e:
            first.infer(bed.tiles[2].tobytes())
    assert e.value.exit_code == 1


def test_a_board_that_dies_in_the_middle_is_lost(bed: Bed) -> None:
    """Geometry and packing change nothing about silence: one sentence, soon."""
    with host_board(bed.elf, ["--drop=1"]) as link:
        device = Device(link, hello_s=0.3, silence_s=0.3, geometry=Geometry(96, 3))
        with pytest.raises((DftError, LinkLost), match=r"nothing on|stopped answering"):
            device.infer(bed.tiles[0].tobytes())


def test_a_photograph_goes_on_over_resets(bed: Bed) -> None:
    """The board forgets it and says so; the host begins it again. This net has no verdict: it stays undecided."""
    with host_board(bed.elf, ["--reset-at=9000,21000"]) as link:
        device = Device(link)
        device.photo(8)
        results = list(device.run(t.tobytes() for t in bed.tiles[:8]))
        device.end_photo()
    assert [r.output.tolist() for r in results] == bed.answers[:8].tolist()
    assert {(r.seen, r.decision) for r in results} == {(0, "none")}
    assert device.count.resets == 2


def test_a_reset_in_every_part_of_a_conversation_is_recovered(bed: Bed) -> None:
    """Once at each of 40 places, from the first byte of the first hello to behind the last run: the same results, once each."""
    tiles = [t.tobytes() for t in bed.tiles[:2]]
    noticed = 0
    with host_board(bed.elf) as link:
        device = Device(link)
        device.photo(2)
        assert len(list(device.run(iter(tiles)))) == 2
        whole = device.count.bytes_sent
    for at in range(1, whole, whole // 40):
        with host_board(bed.elf, [f"--reset-at={at}"]) as link:
            device = Device(link)
            device.photo(2)
            results = list(device.run(iter(tiles)))
            assert [r.output.tolist() for r in results] == bed.answers[:2].tolist(), at
            assert device.stats().runs <= 2, at  # since its reset: nothing was run twice for nothing
            noticed += device.count.resets
    assert noticed >= 30  # what is lost before the first answer is a board that had not begun
