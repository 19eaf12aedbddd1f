set(DFT_BOARD_SOURCES host.c faults.c)
