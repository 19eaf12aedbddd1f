"""Runs where bakenn is installed: without arguments says its version and where its copy of CMSIS-NN lies (JSON);
with MODEL.tflite FOLDER writes its portable C. Started by contenders/foreign.py."""

import json
import shutil
import sys
from pathlib import Path

import bakenn

if len(sys.argv) == 1:
    vendor = Path(bakenn.__file__).parent / "backend/cmsis_nn/vendor"
    print(json.dumps({"version": bakenn.__version__, "vendor": str(vendor)}))
else:
    shutil.rmtree(sys.argv[2], ignore_errors=True)
    bakenn.compile_tflite(Path(sys.argv[1]).read_bytes(), sys.argv[2], name="net")
