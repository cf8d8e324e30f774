"""Lists the skipped tests of a `go test -json` report, each with its reason."""
import json
import sys

output, skipped = {}, []
with open(sys.argv[1], encoding="utf-8") as report:
    for line in report:
        event = json.loads(line)
        test = (event.get("Package", ""), event.get("Test", ""))
        if not test[1]:
            continue
        if event["Action"] == "output":
            output.setdefault(test, []).append(event["Output"].strip())
        elif event["Action"] == "skip":
            skipped.append(test)
for test in skipped:
    said = [text for text in output.get(test, []) if text and not text.startswith(("===", "---"))]
    print(f"{test[0]} {test[1]}: {' '.join(said) or 'no reason given'}")
