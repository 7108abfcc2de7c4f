"""Stand-ins for SLURM's commands on PATH: sbatch starts the jobs of an array on this machine."""

import os
from pathlib import Path

SBATCH = r"""#!/bin/bash
[ -z "$FAKE_SBATCH_ERROR" ] || { echo "$FAKE_SBATCH_ERROR" >&2; exit 1; }
last=$(sed -n 's/^#SBATCH --array=0-\([0-9]*\).*/\1/p' "$1")
export SLURM_JOB_ID=7 SLURM_NTASKS=1 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0 SLURM_JOB_NUM_NODES=1
export SLURM_NNODES=1 SLURM_JOB_NODELIST=here
here=$(dirname "$0")
rm -f "$here/ended"
# submitit puts the jobs' files in place when it knows their number.
(
  sleep 1
  for task in $(seq 0 "${last:-0}"); do
    if [ -n "$last" ]; then export SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$task; fi
    bash "$1" &
  done
  wait
  touch "$here/ended"
) > "$here/jobs.log" 2>&1 &
echo "Submitted batch job 7"
"""
SRUN = r"""#!/bin/bash
while [[ "$1" == --* ]]; do
  case "$1" in --output|--error) shift 2 ;; *) shift ;; esac
done
exec "$@"
"""
SACCT = r"""#!/bin/bash
[ -f "$(dirname "$0")/ended" ] && state=COMPLETED || state=RUNNING
echo "JobID|State|NodeList"
for job in 7 7_0 7_1; do echo "$job|$state|here"; done
"""


def install(folder: Path, monkeypatch) -> None:
    """Put sbatch, srun, sacct and squeue into a folder, and the folder on PATH."""
    folder.mkdir()
    for name, script in {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT, "squeue": SACCT}.items():
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
