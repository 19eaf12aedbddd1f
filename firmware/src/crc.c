/* CRC-32, four bits a step: 64 bytes of table are enough for a serial line. Called by frame.c and commands.c. */
#include "dft/crc.h"

/* Each entry is the remainder of its index's four bits (polynomial 0xEDB88320, least significant bit first). */
static const uint32_t remainders[16] = {
    0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
    0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
};

uint32_t dft_crc_byte(uint32_t reg, uint8_t byte) {
    reg ^= byte;
    reg = remainders[reg & 15u] ^ (reg >> 4);
    return remainders[reg & 15u] ^ (reg >> 4);
}

uint32_t dft_crc(uint32_t reg, const uint8_t *bytes, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        reg = dft_crc_byte(reg, bytes[i]);
    }
    return reg;
}
