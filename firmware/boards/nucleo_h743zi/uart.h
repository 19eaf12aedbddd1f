/* USART3, polled. Called by nucleo_h743zi.c. */
#ifndef DFT_H743_UART_H
#define DFT_H743_UART_H

#include <stdbool.h>
#include <stdint.h>

/* False when the USART does not acknowledge; it is used all the same. */
bool uart_start(uint32_t clock_hz, uint32_t baud);

/* Up to n bytes; polls at most `polls` times for the first of them. Returns how many came. */
uint32_t uart_read(uint8_t *bytes, uint32_t n, uint32_t polls);

/* False when a byte could not be sent within `polls`. What arrives meanwhile is kept. */
bool uart_write(const uint8_t *bytes, uint32_t n, uint32_t polls);

#endif
