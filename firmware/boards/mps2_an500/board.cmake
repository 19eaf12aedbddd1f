set(DFT_BOARD_SOURCES mps2_an500.c semihosting.c ../cortex_m/startup.c ../cortex_m/mpu.c)
