"""An STM32H743 under unicorn: the processor, exactly the chip's memories, and the few registers the board touches.

Any other address ends the run with an error that names it. The USART is a transport, so that the same
dftiny.link.device that drives a real port talks to the unmodified ELF. Instructions count as cycles: no time here.

unicorn has no interrupt controller. With interrupts=True this file is one, for USART3 alone: bytes come in at a rate
in instructions, a 16-byte FIFO holds them or overruns, and between two blocks of code the handler is entered and left
as Armv7-M does it, with the larger of its two frames on the stack.
"""

from __future__ import annotations

import re
import struct
from collections import deque
from pathlib import Path

import unicorn
from elftools.elf.elffile import ELFFile
from unicorn import arm_const

from dftiny.target import load_target

BOARDS = Path(__file__).resolve().parents[2] / "firmware" / "boards"
NAMED_IN = (BOARDS / "nucleo_h743zi" / "registers.h", *sorted((BOARDS / "cortex_m").glob("*.c")))
PAGE = 0x1000
IDLE_POLLS = 200  # polls of an empty receiver after which the board is waiting for us
MPU_REGIONS = 16
LIMIT_INSTRUCTIONS = 2_000_000_000
FIFO_BYTES = 16
FRAME_BYTES = 104  # with room for the FPU's registers, which are saved lazily
RETURN = 0x081FFFF0  # flash that nothing uses: where a handler returns to, instead of EXC_RETURN
USART3_VECTOR = 16 + 39
USART3_BIT = 1 << 7
RXFNEIE = 1 << 5
STACKED = tuple(
    getattr(arm_const, f"UC_ARM_REG_{n}") for n in ("R0", "R1", "R2", "R3", "R12", "LR", "PC", "XPSR")
)


def registers() -> dict[str, int]:
    """Name → address of every REG() in the board's sources: what it may touch."""
    text = "".join(path.read_text(encoding="utf-8") for path in NAMED_IN)
    return {m[1]: int(m[2], 16) for m in re.finditer(r"#define (\w+) REG\((0x[0-9A-Fa-f]+)u\)", text)}


def thumb_instructions(code: bytes) -> int:
    """How many there are: those whose first halfword begins with 11101, 11110 or 11111 have four bytes."""
    n = at = 0
    while at < len(code):
        at += 4 if code[at + 1] >= 0xE8 else 2
        n += 1
    return n


class Wrong(AssertionError):
    """The firmware did something that the chip would not bear."""


class H743:
    """The chip with an ELF in its flash. `answers` False: power, clock and debug registers read as zero."""

    def __init__(
        self, elf: Path, *, answers: bool = True, revision: int = 0x2003, interrupts: bool = False
    ) -> None:
        self.name, self.bytes_per_s = "unicorn", 0.0
        self.answers = answers
        self.address = registers()
        self.by_address = {v: k for k, v in self.address.items()}
        self.values: dict[str, int] = {
            "DBGMCU_IDC": revision << 16 | 0x450,
            "RCC_RSR": 1 << 23,
            "MPU_TYPE": MPU_REGIONS << 8,
        }
        self.values |= {"UID_0": 0x11223344, "UID_1": 0x55667788, "UID_2": 0x99AABBCC, "FLASH_KB": 0xFFFF0800}
        self.mpu: dict[int, int] = {}  # region number → MPU_RASR
        self.written: list[tuple[str, int]] = []
        self.received: deque[int] = deque()
        self.sent = bytearray()
        self.wrong = ""
        self.idle = 0
        self.cycles = 0
        self.cycles_a_look = 20  # that pass between two looks at the cycle counter
        self.instructions = 0  # counted by count_instructions() only
        self.interrupts = interrupts
        self.line: deque[int] = deque()  # bytes that have not arrived yet, one every `instructions_a_byte`
        self.instructions_a_byte = 0  # 0: at once
        self.arrives_at = 0
        self.overruns = 0
        self.deepest_fifo = 0
        self.pending = False  # by software
        self.handler: int | None = None  # stack pointer of the frame to return to
        self.take = False
        self.handled = 0
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.uc.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M7)
        self._map()
        self._load(elf)
        self.pc = self._word(0x08000004)
        if interrupts:
            self.count_instructions()
        self.uc.reg_write(arm_const.UC_ARM_REG_SP, self._word(0x08000000))

    def _map(self) -> None:
        for region in load_target("stm32h743").regions:
            if region.name == "d2":
                continue  # off at reset: mapped when its clock is turned on
            rights = unicorn.UC_PROT_READ | (0 if region.kind == "flash" else unicorn.UC_PROT_WRITE)
            rights |= unicorn.UC_PROT_EXEC if region.kind == "flash" or region.code else 0
            self.uc.mem_map(region.origin, region.bytes, rights)
            if region.kind == "ram":  # what a real RAM wakes up with is not zero
                self.uc.mem_write(region.origin, b"\xa5" * region.bytes)
        self.uc.mem_write(RETURN, bytes.fromhex("fee7"))
        for page in sorted({a & ~(PAGE - 1) for a in self.address.values()}):
            self.uc.mmio_map(page, PAGE, self._read_register, page, self._write_register, page)
        self.uc.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._invalid)

    def _load(self, elf: Path) -> None:
        with elf.open("rb") as f:
            for segment in ELFFile(f).iter_segments():
                if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
                    self.uc.mem_write(segment["p_paddr"], segment.data())

    def _word(self, address: int) -> int:
        return int(struct.unpack("<I", self.uc.mem_read(address, 4))[0])

    def _invalid(self, _uc: object, access: int, address: int, size: int, _value: int, _data: object) -> bool:
        pc = self.uc.reg_read(arm_const.UC_ARM_REG_PC)
        self.wrong = self.wrong or f"access {access} of {size} bytes at {address:#010x}, pc {pc:#010x}"
        return False  # not handled: unicorn ends the run

    def _stop(self, why: str) -> int:
        self.wrong = self.wrong or why
        self.uc.emu_stop()
        return 0

    def _read_register(self, _uc: object, offset: int, size: int, page: int) -> int:
        name = self.by_address.get(page + offset)
        if name is None or size != 4:
            return self._stop(f"read of {size} bytes at {page + offset:#010x}, which no source names")
        if name.startswith("USART3"):
            return self._read_usart(name)
        value = self.values.get(name, 0)
        if not self.answers and name.startswith(("PWR", "RCC", "FLASH", "DWT")):
            return 0
        if name in ("PWR_CSR1", "PWR_D3CR"):
            return value | 1 << 13  # ACTVOSRDY, VOSRDY
        if name == "RCC_CR":
            return value | (value & 1 << 16) << 1 | (value & 1 << 24) << 1  # ready follows on
        if name == "RCC_CFGR":
            return value & ~(7 << 3) | (value & 7) << 3  # SWS follows SW
        if name == "MPU_RASR":
            return self.mpu.get(self.values["MPU_RNR"], 0)
        if name == "DWT_CYCCNT":
            self.cycles += self.cycles_a_look
            if self.interrupts:
                self._waits()
            return self.cycles & 0xFFFFFFFF
        return value

    def _waits(self) -> None:
        """The board looked for a byte, or at the clock while it waits for one."""
        self.idle = 0 if self.received or self.line else self.idle + 1
        if self.idle >= IDLE_POLLS and self.handler is None:
            self.idle = 0
            self.uc.emu_stop()

    def _read_usart(self, name: str) -> int:
        if name == "USART3_RDR":
            return self.received.popleft() if self.received else self._stop("read of an empty receiver")
        if name == "USART3_ISR":
            on = self.values.get("USART3_CR1", 0) & 1
            if not self.interrupts:
                self._waits()
            return on * (3 << 21 | 3 << 6 | bool(self.received) << 5)
        return self.values.get(name, 0)

    def _write_register(self, _uc: object, offset: int, size: int, value: int, page: int) -> None:
        name = self.by_address.get(page + offset)
        if name is None or size != 4:
            self._stop(f"write of {size} bytes at {page + offset:#010x}, which no source names")
            return
        self.values[name] = value
        if name == "USART3_TDR":
            self.sent.append(value & 0xFF)
            self.idle = 0
            return
        self.written.append((name, value))
        if name == "MPU_RASR":
            self.mpu[self.values["MPU_RNR"]] = value
        if name == "NVIC_ISPR1":
            self.pending = bool(value & USART3_BIT)
        if name == "RCC_AHB2ENR" and value >> 29 == 7:
            d2 = load_target("stm32h743").region("d2")
            self.uc.mem_map(d2.origin, d2.bytes, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)
        if name == "SCB_AIRCR":
            self._stop("the firmware faulted and asked for a reset")

    def count_instructions(self) -> None:
        """From now on, slowly: every block that is entered, with as many instructions as it holds."""
        known: dict[tuple[int, int], int] = {}

        def block(_uc: object, address: int, size: int, _data: object) -> None:
            key = address, size
            if key not in known:
                known[key] = thumb_instructions(bytes(self.uc.mem_read(address, size)))
            self.instructions += known[key]
            if self.interrupts:
                self._arrive()
                if self._interrupted():
                    self.take = True
                    self.uc.emu_stop()

        self.uc.hook_add(unicorn.UC_HOOK_BLOCK, block)

    def _arrive(self) -> None:
        while self.line and self.instructions >= self.arrives_at:
            self.arrives_at = max(self.arrives_at, self.instructions - 1) + self.instructions_a_byte
            byte = self.line.popleft()
            if len(self.received) >= FIFO_BYTES:
                self.overruns += 1
            else:
                self.received.append(byte)
            self.deepest_fifo = max(self.deepest_fifo, len(self.received))

    def _interrupted(self) -> bool:
        if self.handler is not None or not self.values.get("NVIC_ISER1", 0) & USART3_BIT:
            return False
        return self.pending or bool(self.received and self.values.get("USART3_CR1", 0) & RXFNEIE)

    def _enter(self) -> None:
        """Exception entry: the frame below the stack pointer, the handler from the vector table that VTOR names."""
        registers_ = [self.uc.reg_read(r) for r in STACKED]
        sp = self.uc.reg_read(arm_const.UC_ARM_REG_SP)
        frame = (sp - FRAME_BYTES) & ~7
        self.uc.mem_write(frame, struct.pack("<8I", *registers_) + b"\xee" * (FRAME_BYTES - 32))
        self.handler, self.pending = sp, False
        self.handled += 1
        self.uc.reg_write(arm_const.UC_ARM_REG_SP, frame)
        self.uc.reg_write(arm_const.UC_ARM_REG_LR, RETURN | 1)
        self.uc.reg_write(
            arm_const.UC_ARM_REG_XPSR, registers_[-1] & 1 << 24
        )  # no IT block goes on in a handler
        self.pc = self._word(self.values["SCB_VTOR"] + 4 * USART3_VECTOR) & ~1

    def _leave(self) -> None:
        sp = self.uc.reg_read(arm_const.UC_ARM_REG_SP)
        for register, value in zip(STACKED, struct.unpack("<8I", self.uc.mem_read(sp, 32)), strict=True):
            self.uc.reg_write(register, value)
            if register == arm_const.UC_ARM_REG_PC:
                self.pc = value
        self.uc.reg_write(arm_const.UC_ARM_REG_SP, self.handler)
        self.handler = None

    def run(self) -> None:
        """Run until the board waits for a byte. Wrong when it did what the chip would not bear."""
        while True:
            try:
                self.uc.emu_start(self.pc | 1, RETURN, count=LIMIT_INSTRUCTIONS)
            except unicorn.UcError as e:
                raise Wrong(self.wrong or str(e)) from e
            if self.wrong:
                raise Wrong(self.wrong)
            self.pc = self.uc.reg_read(arm_const.UC_ARM_REG_PC) & ~1
            if self.pc == RETURN and self.handler is not None:
                self._leave()
            elif self.take:
                self.take = False
                self._enter()
            else:
                return

    # dftiny.link.transport.Transport

    def write(self, data: bytes, deadline_s: float) -> bool:  # noqa: ARG002 - a transport's signature
        (self.line if self.interrupts else self.received).extend(data)
        self.arrives_at = max(self.arrives_at, self.instructions)
        return True

    def read(self, deadline_s: float) -> bytes:  # noqa: ARG002
        self.run()
        data = bytes(self.sent)
        self.sent.clear()
        return data

    def close(self) -> None:
        """Nothing to release."""
