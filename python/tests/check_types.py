"""Holds mypy against typing_sample.py: exactly the lines that are marked are refused.

python check_types.py CACHE_FOLDER
"""

import pathlib
import re
import subprocess
import sys

SAMPLE = pathlib.Path(__file__).with_name("typing_sample.py")


def main():
    marked = {i for i, line in enumerate(SAMPLE.read_text().splitlines(), 1) if line.endswith("# refused")}
    call = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", sys.argv[1], str(SAMPLE)]
    said = subprocess.run(call, capture_output=True, text=True).stdout
    found = {int(n) for n in re.findall(r"typing_sample\.py:(\d+): error:", said)}
    for line in sorted(marked ^ found):
        print(f"{SAMPLE.name}:{line}: {'accepted' if line in marked else 'refused'} by mypy")
    if marked == found:
        print(f"mypy refuses the {len(marked)} marked lines, and no other")
    return 0 if marked and marked == found else 1


if __name__ == "__main__":
    sys.exit(main())
