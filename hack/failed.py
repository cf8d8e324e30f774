"""Tells what a `go test -json` report has of tests that did not simply pass: the first
and last lines that each failed one wrote, and of many no lines of logs; those that
failed and passed when they were run again; then the counts. A package that failed
without a test (it does not build, or it timed out) is shown too."""
import json
import sys

FIRST, LAST, WIDTH = 40, 40, 400

output, results = {}, {}
with open(sys.argv[1], encoding="utf-8") as report:
    for line in report:
        event = json.loads(line)
        test = (event.get("Package") or event.get("ImportPath", ""), event.get("Test", ""))
        if event["Action"] in ("output", "build-output"):
            output.setdefault(test, []).append(event["Output"].rstrip("\n")[:WIDTH])
        elif event["Action"] in ("pass", "fail", "skip", "build-fail"):
            results.setdefault(test, []).append(event["Action"].removeprefix("build-"))
failed = [test for test, each in results.items() if "fail" in each]
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
again = [test for test in failed if test[1] and results[test][-1] == "pass"]
if again:
    print("\nFailed, and passed when run again after the others. Each is a fault of the product or of the test:")
    print("\n".join(f"  - {package} {name}" for package, name in again))
last = [each[-1] for test, each in results.items() if test[1]]
print("\n" + ", ".join(f"{last.count(action)} {word}" for action, word in (("pass", "passed"), ("fail", "failed"), ("skip", "skipped"))) + (f", {len(again)} only when run again" if again else ""))
