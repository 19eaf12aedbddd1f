/* USART3, received by interrupt into a ring. Called by nucleo_h743zi.c. */
#ifndef DFT_H743_UART_H
#define DFT_H743_UART_H

#include <stdbool.h>
#include <stdint.h>

/* Kept while nobody reads: two frames of the longest kind, or 27 ms at 3 Mbaud. A power of two. */
#define UART_RING_BYTES 8192u

/* What went wrong on the line since start. */
typedef struct uart_losses {
    uint32_t full;   /* bytes for which the ring had no room */
    uint32_t errors; /* overruns, framing and noise, as often as the handler saw one */
} uart_losses;

/* False when the USART does not acknowledge; it is used all the same. */
bool uart_start(uint32_t clock_hz, uint32_t baud);

/* The handler was seen to run. Without interrupts (an emulator without a controller) reading and writing poll. */
bool uart_interrupts(void);

/* The rate nearest to `wanted` that the USART makes from its clock; 0 when it is off by more than 2 %. */
uint32_t uart_baud_near(uint32_t clock_hz, uint32_t wanted);

/* Waits at most `polls` for the last byte to leave, then changes the rate. False: none of these rates, or it did not. */
bool uart_set_baud(uint32_t clock_hz, uint32_t wanted, uint32_t polls);

/* Bytes that uart_read() would give at once. Without interrupts it looks at the receiver, so ask often. */
uint32_t uart_received(void);

/* Up to n bytes of those that are there. */
uint32_t uart_read(uint8_t *bytes, uint32_t n);

/* False when a byte could not be sent within `polls`. What arrives meanwhile is kept. */
bool uart_write(const uint8_t *bytes, uint32_t n, uint32_t polls);

uart_losses uart_lost(void);

/* Entry 39 of the vector table. */
void uart_interrupt(void);

#endif
