*** Comments ***
Boots the unmodified NUCLEO ELF in Renode: hello, golden tiles, and dftiny bench over the socket, bit for bit.
Never run here, see nucleo_h743zi.repl. Run by the workflow of .github, and by
tests/emu/test_renode.py where renode-test is installed:
    renode-test --variable ELF:… --variable BUNDLE:… --variable PYTHON:… tools/renode/nucleo_h743zi.robot

*** Settings ***
Library           Process
Suite Setup       Setup
Suite Teardown    Teardown
Test Teardown     Test Teardown
Resource          ${RENODEKEYWORDS}

*** Variables ***
${ELF}            ${CURDIR}/../../dftiny-runs/build/nucleo_h743zi/firmware.elf
${BUNDLE}         ${CURDIR}/../../dftiny-runs/bundle
${PYTHON}         python3
# One port a test: the last one's may not be free again at once.
${PORT}           3456
${BENCH_PORT}     3457
${OUT}            ${TEMPDIR}/dftiny-bench-renode

*** Keywords ***
Start The Board
    [Arguments]    ${port}
    Execute Command    $elf=@${ELF}
    Execute Command    $port=${port}
    Execute Command    include @${CURDIR}/nucleo_h743zi.resc
    Execute Command    start

Run Against It
    [Arguments]    @{command}
    ${done}=    Run Process    ${PYTHON}    @{command}    stderr=STDOUT    timeout=540s    on_timeout=kill
    Log To Console    ${done.stdout}
    Should Be Equal As Integers    ${done.rc}    0

*** Test Cases ***
Hello And Four Golden Tiles
    Start The Board    ${PORT}
    Run Against It    ${CURDIR}/golden    ${BUNDLE}    --port    socket://127.0.0.1:${PORT}

The Same Bench As Everywhere
    Start The Board    ${BENCH_PORT}
    Run Against It    -m    dftiny.cli    bench    --bundle    ${BUNDLE}    --golden    --out    ${OUT}
    ...    --port    socket://127.0.0.1:${BENCH_PORT}
