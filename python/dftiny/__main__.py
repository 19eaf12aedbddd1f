"""`python -m dftiny`, and with it `torchrun -m dftiny train`: the command line."""

import os
import sys

from dftiny.cli import main

if __name__ == "__main__":
    try:
        main()
    except SystemExit as e:
        # Under torchrun now and then gloo's threads outlive their group, and std::terminate would end a process that has
        # done its work, while its statics are destroyed: it leaves before that, with the code that it has.
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            raise
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(e.code if isinstance(e.code, int) else int(e.code is not None))
