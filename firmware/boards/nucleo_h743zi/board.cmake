set(DFT_BOARD_SOURCES nucleo_h743zi.c clock.c uart.c core.c
    record.c watchdog.c checks.c interrupts.c ../cortex_m/startup.c ../cortex_m/mpu.c)
