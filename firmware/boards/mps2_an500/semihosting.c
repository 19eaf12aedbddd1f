/* Arm semihosting by BKPT 0xAB. Every call is a request to the emulator and returns when the host is done. */
#include "semihosting.h"

#define SYS_OPEN 0x01u
#define SYS_WRITE0 0x04u
#define SYS_WRITE 0x05u
#define SYS_READ 0x06u
#define SYS_GET_CMDLINE 0x15u
#define SYS_EXIT_EXTENDED 0x20u

#define OPEN_READ_BINARY 1u
#define OPEN_WRITE_BINARY 5u
#define ADP_STOPPED_APPLICATION_EXIT 0x20026u

static uint32_t call(uint32_t operation, const void *block) {
    register uint32_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = block;
    __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static uint32_t length(const char *text) {
    uint32_t n = 0;
    while (text[n] != '\0') {
        n++;
    }
    return n;
}

void semi_command_line(char *text, uint32_t capacity) {
    uint32_t block[2] = {(uint32_t)(uintptr_t)text, capacity};
    text[0] = '\0';
    if (call(SYS_GET_CMDLINE, block) != 0) {
        text[0] = '\0';
    }
    text[capacity - 1u] = '\0';
}

static int32_t open_file(const char *path, uint32_t mode) {
    const uint32_t block[3] = {(uint32_t)(uintptr_t)path, mode, length(path)};
    return (int32_t)call(SYS_OPEN, block);
}

int32_t semi_open_read(const char *path) { return open_file(path, OPEN_READ_BINARY); }

int32_t semi_open_write(const char *path) { return open_file(path, OPEN_WRITE_BINARY); }

/* SYS_READ and SYS_WRITE return how many bytes were NOT moved. */
static uint32_t move(uint32_t operation, int32_t handle, const uint8_t *bytes, uint32_t n) {
    const uint32_t block[3] = {(uint32_t)handle, (uint32_t)(uintptr_t)bytes, n};
    const uint32_t left = call(operation, block);
    return left > n ? 0u : n - left;
}

uint32_t semi_read(int32_t handle, uint8_t *bytes, uint32_t n) { return move(SYS_READ, handle, bytes, n); }

uint32_t semi_write(int32_t handle, const uint8_t *bytes, uint32_t n) { return move(SYS_WRITE, handle, bytes, n); }

void semi_say(const char *text) { (void)call(SYS_WRITE0, text); }

_Noreturn void semi_exit(uint32_t code) {
    const uint32_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, code};
    for (;;) {
        (void)call(SYS_EXIT_EXTENDED, block);
    }
}
