/* Arm semihosting: the emulator does file work for the firmware. Called by mps2_an500.c.
 * Calls and their argument blocks: "Semihosting for AArch32 and AArch64", Arm (unverified here; run under QEMU 7.2). */
#ifndef DFT_SEMIHOSTING_H
#define DFT_SEMIHOSTING_H

#include <stdint.h>

/* The command line that the emulator was given; empty when it does not say. Always ends in NUL. */
void semi_command_line(char *text, uint32_t capacity);

/* File handles, negative when a file cannot be opened. */
int32_t semi_open_read(const char *path);
int32_t semi_open_write(const char *path);

/* Bytes read (0 = end of file); blocks in the host until there is at least one. */
uint32_t semi_read(int32_t handle, uint8_t *bytes, uint32_t n);

/* Bytes written. */
uint32_t semi_write(int32_t handle, const uint8_t *bytes, uint32_t n);

/* A line on the emulator's own console. */
void semi_say(const char *text);

/* Ends the emulator with this exit code. */
_Noreturn void semi_exit(uint32_t code);

#endif
