"""Shows the first and last lines that each failed test of a `go test -json` report
wrote, and of many no lines of logs; then the counts. A package that failed without a test (it does not
build, or it timed out) is shown too."""
import json
import sys

FIRST, LAST, WIDTH = 40, 40, 400

output, failed, counts = {}, [], {}
with open(sys.argv[1], encoding="utf-8") as report:
    for line in report:
        event = json.loads(line)
        test = (event.get("Package") or event.get("ImportPath", ""), event.get("Test", ""))
        if event["Action"] in ("output", "build-output"):
            output.setdefault(test, []).append(event["Output"].rstrip("\n")[:WIDTH])
        elif event["Action"] in ("fail", "build-fail"):
            failed.append(test)
        if test[1] and event["Action"] in ("pass", "fail", "skip"):
            counts[event["Action"]] = counts.get(event["Action"], 0) + 1
for test in failed:
    lines = output.get(test, [])
    if not lines or not test[1] and any(other[0] == test[0] and other[1] for other in failed):
        continue
    print(f"\n=== {test[0]} {test[1]}")
    if len(lines) > FIRST + LAST:
        lines = [line for line in lines if " level=" not in line]
    if len(lines) > FIRST + LAST:
        lines = [*lines[:FIRST], f"… {len(lines) - FIRST - LAST} lines …", *lines[-LAST:]]
    print("\n".join(lines))
print("\n" + ", ".join(f"{counts.get(action, 0)} {word}" for action, word in (("pass", "passed"), ("fail", "failed"), ("skip", "skipped"))))
