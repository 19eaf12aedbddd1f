*** Comments ***
Boots the unmodified NUCLEO ELF in Renode; hello and the bundle's first four golden tiles, bit for bit.
Never run here, see nucleo_h743zi.repl. Run by the workflow of .github:
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
${PORT}           3456

*** Test Cases ***
Hello And Four Golden Tiles
    Execute Command    $elf=@${ELF}
    Execute Command    $port=${PORT}
    Execute Command    include @${CURDIR}/nucleo_h743zi.resc
    Execute Command    start
    ${check}=    Run Process    ${PYTHON}    ${CURDIR}/golden    ${BUNDLE}    --port    socket://127.0.0.1:${PORT}
    ...    stderr=STDOUT    timeout=540s    on_timeout=kill
    Log To Console    ${check.stdout}
    Should Be Equal As Integers    ${check.rc}    0
