"""The unmodified NUCLEO ELF on the chip's real memory map: it boots, says hello, runs a tile."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import unicorn
from elftools.elf.elffile import ELFFile
from h743 import H743, MPU_REGIONS, Wrong, registers
from unicorn import arm_const

from dftiny import spec
from dftiny.build import build
from dftiny.bundle import Bundle
from dftiny.codegen.linker_ld import NULL_BYTES
from dftiny.errors import DftError
from dftiny.fault import fault_text, read_fault
from dftiny.link.device import Device
from dftiny.link.messages import cause_name
from dftiny.link.questions import Questions
from dftiny.selftest import examine
from dftiny.target import load_target

pytestmark = pytest.mark.emu


@pytest.fixture
def elf(echo_elf: Callable[[str], Path]) -> Path:
    return echo_elf("nucleo_h743zi")


def test_hello_and_one_tile(elf: Path, tile: bytes, echo: Callable[[bytes], list[int]]) -> None:
    chip = H743(elf)
    device = Device(chip)
    hello = device.hello()
    assert (hello.board, hello.engine, hello.tick_hz) == ("nucleo_h743zi", "echo", 480_000_000)
    assert hello.caps & spec.protocol()["caps"]["cycles"]
    assert hello.reset_cause == spec.protocol()["reset_cause"]["power_on"]
    result = device.infer(tile)
    assert result.output.tolist() == echo(tile)
    assert result.ticks > 0
    stats = device.stats()
    assert 0 < stats.stack_peak_bytes < stats.stack_bytes
    assert stats.frames_bad == 0


def test_golden_tiles_of_a_bundle(aot_elf: Callable[[str], Path], bundle: Bundle) -> None:
    """The generated network on the chip's own memory map: every golden output, bit for bit."""
    device = Device(H743(aot_elf("nucleo_h743zi")))
    device.identify(bundle.digest)
    inputs, outputs = bundle.golden()
    for x, y in zip(inputs, outputs, strict=True):
        assert device.infer(x.tobytes()).output.tolist() == y.tolist()
    ticks = device.op_ticks()
    assert ticks is not None
    assert len(ticks) == len(bundle.ops)
    assert (ticks > 0).all()


def test_the_clock_tree_it_asked_for(elf: Path) -> None:
    chip = H743(elf)
    chip.run()
    assert chip.values["RCC_PLL1DIVR"] == 119 | 1 << 9  # 8 MHz x 120 / 2
    assert chip.values["RCC_PLLCKSELR"] == 2 | 1 << 4  # HSE / 1
    assert chip.values["FLASH_ACR"] == 4 | 2 << 4
    assert chip.values["SYSCFG_PWRCR"] == 1
    assert chip.values["USART3_BRR"] == round(120_000_000 / spec.board("nucleo_h743zi")["baud"])
    order = [name for name, _ in chip.written]
    assert order.index("PWR_CR3") < order.index("PWR_D3CR") < order.index("SYSCFG_PWRCR")
    switched = max(i for i, name in enumerate(order) if name == "RCC_CFGR")
    assert max(order.index(n) for n in ("FLASH_ACR", "RCC_D1CFGR", "RCC_D2CFGR", "RCC_PLL1DIVR")) < switched


def mpu_regions(chip: H743) -> dict[int, tuple[int, int]]:
    """Region number → (RBAR, RASR) at the moment the unit is turned on, by the order of the writes."""
    regions: dict[int, tuple[int, int]] = {}
    number, base = -1, 0
    for name, value in chip.written:
        if name == "MPU_RNR":
            number = value
        elif name == "MPU_RBAR":
            base = value
        elif name == "MPU_RASR":
            regions[number] = (base, value)
        elif name == "MPU_CTRL" and value & 1:
            break
    return regions


def protection(regions: dict[int, tuple[int, int]], address: int) -> str:
    """What the highest enabled region over `address` allows (PMSAv7): "-", "r", "rw", with "x" where code may run."""
    found = "default"
    for _, (base, rasr) in sorted(regions.items()):
        size = 2 << (rasr >> 1 & 31)
        assert not rasr & 1 or base % size == 0
        if rasr & 1 and base <= address < base + size and not rasr >> 8 + (address - base) * 8 // size & 1:
            access = {0: "-", 3: "rw", 6: "r"}[rasr >> 24 & 7]
            found = access if rasr >> 28 & 1 else access + "x"
    return found


def test_the_memory_protection_it_asked_for(elf: Path) -> None:
    chip = H743(elf)
    chip.run()
    regions = mpu_regions(chip)
    assert sorted(regions) == list(range(MPU_REGIONS))  # those that it does not use are cleared
    h743 = load_target("stm32h743")
    for region in h743.regions:
        wanted = {"flash": "rx", "itcm": "rx"}.get(region.name, "rw")
        first = region.origin + (NULL_BYTES if region.code else 0)
        for address in (first, region.origin + region.bytes - 4):
            assert protection(regions, address) == wanted, (region.name, hex(address))
    dtcm = h743.statics_region.origin
    assert {
        protection(regions, a) for a in (0, NULL_BYTES - 4, dtcm - 4, dtcm - 65536, 0x60000000, 0xDFFFFFFC)
    } == {"-"}
    assert {protection(regions, a) for a in (0x40004800, 0x58024400, 0xE000ED08)} == {"default"}


def test_older_silicon_runs_slower_and_says_so(elf: Path) -> None:
    chip = H743(elf, revision=0x1003)
    assert Device(chip).hello().tick_hz == 400_000_000
    assert "SYSCFG_PWRCR" not in chip.values


def test_dead_clock_and_debug_registers_do_not_stop_it(
    elf: Path, tile: bytes, echo: Callable[[bytes], list[int]]
) -> None:
    """As an emulator that only tags PWR, RCC and DWT: up at the reset clock, and no cycles are claimed."""
    device = Device(H743(elf, answers=False))
    hello = device.hello()
    assert hello.tick_hz == 64_000_000
    assert not hello.caps & spec.protocol()["caps"]["cycles"]
    result = device.infer(tile)
    assert result.output.tolist() == echo(tile)
    assert result.ticks == 0


def after_fault(elf: Path, stack_left: int, pc: int = 0x08004321, cfsr: int = 0) -> tuple[H743, H743]:
    """The chip whose processor faulted with `stack_left` bytes below its frame, and the same RAM one reset later."""
    first = H743(elf)
    before = Device(first).hello()
    assert before.reset_cause == spec.protocol()["reset_cause"]["power_on"]
    with elf.open("rb") as f:
        symbols = ELFFile(f).get_section_by_name(".symtab")
        first.pc = symbols.get_symbol_by_name("dft_fault_entry")[0]["st_value"]
        low = symbols.get_symbol_by_name("__dft_stack_low")[0]["st_value"]
    first.values["SCB_CFSR"], first.values["SCB_BFAR"] = cfsr, 0x24080000
    frame = struct.pack("<8I", 0, 1, 2, 3, 12, 0x08001235, pc, 1 << 24)
    if stack_left >= 0:
        first.uc.mem_write(low + stack_left, frame)
    first.uc.reg_write(arm_const.UC_ARM_REG_SP, low + stack_left)
    with pytest.raises(Wrong, match="asked for a reset"):
        first.run()
    software, pin = 1 << 24, 1 << 22
    second = H743(elf)
    second.values["RCC_RSR"] = software | pin
    dtcm = load_target("stm32h743").statics_region
    second.uc.mem_write(dtcm.origin, bytes(first.uc.mem_read(dtcm.origin, dtcm.bytes)))
    return first, second


@pytest.mark.parametrize("stack_left", [1024, -256], ids=["stack is good", "stack has run out"])
def test_a_fault_is_recorded_and_the_next_boot_says_so(elf: Path, stack_left: int) -> None:
    first, second = after_fault(elf, stack_left)
    assert first.values["SCB_AIRCR"] == 0x05FA0004
    causes = spec.protocol()["reset_cause"]
    boot_id = Device(H743(elf)).hello().boot_id
    hello = Device(second).hello()
    assert (hello.reset_cause, hello.boot_id) == (causes["fault"], boot_id + 1)
    with elf.open("rb") as f:
        record = ELFFile(f).get_section_by_name(".noinit")["sh_addr"]
    kind, pc, lr = struct.unpack("<3I", second.uc.mem_read(record + 12, 12))
    kinds = spec.protocol()["fault"]
    assert (pc, lr) == ((0x08004321, 0x08001235) if stack_left >= 0 else (0, 0))
    assert kind == kinds["unexpected" if stack_left >= 0 else "stack"]  # the model's fault registers are zero
    third = H743(elf)  # a reset by software that no fault asked for
    third.values["RCC_RSR"] = 1 << 24
    dtcm = load_target("stm32h743").statics_region
    third.uc.mem_write(dtcm.origin, bytes(second.uc.mem_read(dtcm.origin, dtcm.bytes)))
    hello = Device(third).hello()
    assert (hello.reset_cause, hello.boot_id) == (causes["software"], boot_id + 2)


def test_a_fault_is_told_with_file_and_line(elf: Path) -> None:
    with elf.open("rb") as f:
        symbols = ELFFile(f).get_section_by_name(".symtab")
        pc = symbols.get_symbol_by_name("uart_received")[0]["st_value"] & ~1
    bus_at_known_address = 1 << 9 | 1 << 15
    _, second = after_fault(elf, 1024, pc, bus_at_known_address)
    record = read_fault(Questions(second))
    assert record is not None
    assert (record.kind, record.pc, record.lr, record.bfar) == ("bus", pc, 0x08001235, 0x24080000)
    assert record.boot_id + 1 == Device(second).hello().boot_id
    said = fault_text(record, elf)
    assert "a place where nothing answers, at 0x24080000" in said
    assert re.search(rf"pc 0x{pc:08x}  uart_received at \S*nucleo_h743zi/uart\.c:\d+", said), said
    assert "uart_received" not in fault_text(record, None) and "give --build" in fault_text(record, None)


def test_no_fault_is_no_record(elf: Path) -> None:
    assert read_fault(Questions(H743(elf))) is None


HOST_ONLY = {"half a second"}  # judged by this computer's clock, which no emulator keeps


def examined(chip: H743, elf: Path) -> dict[str, str]:
    """Test → outcome, of the board's self-tests."""
    chip.cycles_a_look = 200_000
    return {o.name: o.status for o in examine(chip, elf.parent).outcomes}


def test_the_board_proves_itself(elf: Path) -> None:
    found = examined(H743(elf, interrupts=True), elf)
    assert len(found) >= 15
    assert found.pop("kernels") == "absent"  # the echo engine has none
    assert {name for name, status in found.items() if status != "passed"} <= HOST_ONLY


def test_what_is_wrong_is_found(elf: Path) -> None:
    """A chip whose power, clocks, option bytes and interrupts do not answer, of another kind, with another image."""
    chip = H743(elf, answers=False)
    chip.values |= {"DBGMCU_IDC": 0x2003_0483, "FLASH_KB": 1024, "IWDG1_SR": 3}
    chip.uc.mem_write(0x08000000 + (elf.parent / "firmware.bin").stat().st_size - 1, b"\x5a")
    found = examined(chip, elf)
    wrong = {name for name, status in found.items() if status == "failed"}
    clocks = {"clock", "crystal", "flash waits", "counter moves"}
    assert wrong == clocks | {"device", "flash size", "flash image", "interrupts", "watchdog"}
    assert found["half a second"] == "absent"


def test_every_operator_is_proved_on_the_chip(aot_elf: Callable[[str], Path], bundle: Bundle) -> None:
    """And one wrong weight is found, in the operator that has it; the next inference is as right as before."""
    elf = aot_elf("nucleo_h743zi")
    chip = H743(elf)
    chip.cycles_a_look = 200_000
    device = Device(chip)
    found = {o.name: o for o in examine(chip, elf.parent).outcomes}
    assert (found["kernels"].status, found["kernels"].detail) == ("passed", len(bundle.ops))
    assert {found[n].status for n in ("layer conv", "pointwise LDRD", "pointwise LDR")} == {"passed"}
    assert device.infer(bundle.golden()[0][0].tobytes()).output.tolist() == bundle.golden()[1][0].tolist()
    broken = H743(elf)
    broken.cycles_a_look = 200_000
    at = largest_constant(elf)
    broken.uc.mem_write(at, bytes([broken.uc.mem_read(at, 1)[0] ^ 0x40]))
    (kernels,) = (o for o in examine(broken, elf.parent).outcomes if o.name == "kernels")
    assert bundle.ops[0].kind == "CONV_2D"
    assert (kernels.status, kernels.detail) == ("failed", 0)


def test_the_other_convolutions_give_the_same_bits(bundle: Bundle, tmp_path: Path) -> None:
    build(bundle.folder, "nucleo_h743zi", tmp_path / "paired", paired_loads=True)
    chip = H743(tmp_path / "paired" / "firmware.elf")
    chip.cycles_a_look = 200_000
    (kernels,) = (o for o in examine(chip, tmp_path / "paired").outcomes if o.name == "kernels")
    assert (kernels.status, kernels.detail) == ("passed", len(bundle.ops))
    with pytest.raises(DftError, match="Cortex-M7"):
        build(bundle.folder, "host", tmp_path / "host", paired_loads=True)


def largest_constant(elf: Path) -> int:
    """The address of the largest array of the generated model: its convolution's weights."""
    with elf.open("rb") as f:
        symbols = ELFFile(f).get_section_by_name(".symtab").iter_symbols()
        sizes = [(s["st_size"], s["st_value"]) for s in symbols if re.fullmatch(r"k\d+", s.name)]
    return int(max(sizes)[1])


def test_a_low_supply_and_missing_caches_are_found(elf: Path) -> None:
    chip = H743(elf, interrupts=True)
    chip.run()
    chip.values["PWR_CSR1"] = 1 << 4
    chip.values["SCB_CCR"] = 1 << 16
    chip.values["MPU_CTRL"] = 0
    found = examined(chip, elf)
    wrong = {name for name, status in found.items() if status == "failed"} - HOST_ONLY
    assert wrong == {"supply", "caches", "memory guard"}


@pytest.mark.parametrize(
    ("wanted", "real"),
    [(115_200, 115_163), (921_600, 923_076), (2_000_000, 2_000_000), (3_000_000, 3_000_000)],
)
def test_the_rate_is_changed_after_its_reply(elf: Path, wanted: int, real: int) -> None:
    chip = H743(elf, interrupts=True)
    assert Device(chip).hello().baud == spec.board("nucleo_h743zi")["baud"]
    reply = Questions(chip).ask("set_baud", baud=wanted)
    assert (reply["status"], reply["baud"]) == (0, real)
    chip.run()
    assert chip.values["USART3_BRR"] == round(120_000_000 / wanted)
    assert chip.values["USART3_CR1"] & 1 and chip.values["USART3_CR1"] & 1 << 5
    assert Device(chip).hello().baud == real


@pytest.mark.parametrize("wanted", [0, 300, 7_280_000, 12_000_000, 2**32 - 1])
def test_a_rate_that_the_clock_cannot_make_is_refused(elf: Path, wanted: int) -> None:
    chip = H743(elf, interrupts=True)
    reply = Questions(chip).ask("set_baud", baud=wanted)
    assert reply["status"] != 0
    assert Device(chip).hello().baud == spec.board("nucleo_h743zi")["baud"]


def test_identity_and_watchdog(elf: Path) -> None:
    chip = H743(elf)
    assert Device(chip).hello().uid == struct.pack("<3I", 0x11223344, 0x55667788, 0x99AABBCC)
    assert (chip.values["IWDG1_PR"], chip.values["IWDG1_RLR"]) == (4, 0xFFF)
    kicks = [value for name, value in chip.written if name == "IWDG1_KR"]
    assert kicks[:2] == [0xCCCC, 0x5555] and kicks.count(0xAAAA) > 2  # the loop goes on kicking


def symbol(elf: Path, name: str) -> int:
    with elf.open("rb") as f:
        found = ELFFile(f).get_section_by_name(".symtab").get_symbol_by_name(name)
    return int(found[0]["st_value"]) & ~1


def kicks(chip: H743) -> int:
    return chip.written.count(("IWDG1_KR", 0xAAAA))


def test_the_watchdog_is_fed_by_every_operator(aot_elf: Callable[[str], Path], bundle: Bundle) -> None:
    """Not only by the loop: a net may take longer than the watchdog waits."""
    elf = aot_elf("nucleo_h743zi")
    chip = H743(elf)
    device = Device(chip)
    device.identify(bundle.digest)
    during: list[int] = []

    def entered(uc: unicorn.Uc, _address: int, _size: int, _data: object) -> None:
        back = uc.reg_read(arm_const.UC_ARM_REG_LR) & ~1
        during.append(-kicks(chip))
        uc.hook_add(unicorn.UC_HOOK_BLOCK, left, begin=back, end=back)

    def left(*_: object) -> None:
        if len(during) == 1:
            during.append(kicks(chip))

    run = symbol(elf, "dft_aot_invoke")
    chip.uc.hook_add(unicorn.UC_HOOK_BLOCK, entered, begin=run, end=run)
    device.infer(bundle.golden()[0][0].tobytes())
    assert len(during) == 2 and sum(during) >= len(bundle.ops)


def test_the_watchdog_is_not_fed_by_a_board_that_hangs(
    aot_elf: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine never comes back; bytes go on arriving, and their interrupts are served: nothing kicks."""
    elf = aot_elf("nucleo_h743zi")
    chip = H743(elf, interrupts=True)
    assert Device(chip).hello().board == "nucleo_h743zi"
    chip.pc = symbol(elf, "dft_aot_invoke")
    chip.uc.mem_write(chip.pc, bytes.fromhex("fee7"))  # b .
    monkeypatch.setattr("h743.LIMIT_INSTRUCTIONS", 20_000)
    before, handled = kicks(chip), chip.handled
    assert before > 2
    chip.instructions_a_byte = 160
    chip.write(bytes(400), 1.0)
    chip.run()
    assert kicks(chip) == before
    assert chip.handled - handled > 100 and not chip.line


@pytest.mark.parametrize(
    ("flags", "cause"),
    [
        ((23, 22, 21), "power_on"),
        ((22, 21), "brown_out"),
        ((22,), "pin"),
        ((24, 22), "software"),
        ((26, 22), "watchdog"),
        ((), "unknown"),
    ],
)
def test_why_it_started(elf: Path, flags: tuple[int, ...], cause: str) -> None:
    """Bits of RCC_RSR as RM0433 has them by source (second-hand); they are cleared for the next start."""
    chip = H743(elf)
    chip.values["RCC_RSR"] = sum(1 << bit for bit in flags)
    assert cause_name(Device(chip).hello().reset_cause) == cause
    assert chip.values["RCC_RSR"] >> 16 & 1


def test_bytes_before_the_first_frame_do_no_harm(elf: Path) -> None:
    chip = H743(elf)
    chip.write(bytes(range(256)) * 20, 1.0)
    assert Device(chip).hello().board == "nucleo_h743zi"


def test_the_model_refuses_what_the_chip_does_not_have(elf: Path) -> None:
    """The test bench itself: a read beside the map or of an unnamed register must not pass unseen."""
    assert len(registers()) > 40
    for address in (0x24080000, 0x30000000, 0x5802448C):
        chip = H743(elf)
        chip.uc.mem_write(0x08100000, bytes.fromhex("004801e0"))  # ldr r0, [pc, #0]; b 0x08100008
        chip.uc.mem_write(0x08100004, address.to_bytes(4, "little"))
        chip.uc.mem_write(0x08100008, bytes.fromhex("0068fee7"))  # ldr r0, [r0]; b .
        chip.pc = 0x08100000
        with pytest.raises(Wrong, match=f"{address:#010x}"):
            chip.run()
