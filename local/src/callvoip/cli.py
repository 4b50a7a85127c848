"""The `callvoip` command behind `./dev`: one module a subcommand, imported only when it runs."""

import importlib
import sys

COMMANDS = {
    "up": "build, deploy into the emulated AWS and serve; Ctrl-C stops everything",
    "demo": "the main job from order to encrypted call, without a browser",
    "site": "the pages only, for who writes them: what is saved shows at once",
    "test": "lint, types, unit, infra, site and end-to-end tests",
    "bench": "benchmarks, each as a ratio against a peer or a floor",
    "synth": "CloudFormation into cdk.out/, without AWS credentials",
    "deploy": "deploy to AWS with CDK",
    "image": "the image that nodes boot from: pin what it is baked from, bake it; root: what the boot test boots",
    "fleet": "nodes and where environments are: list, show, cordon, uncordon, drain, roll, move",
    "verify-receipt": "whether call receipts are genuine and complete, offline",
    "lock": "pin all packages anew in requirements.txt",
}


def main() -> int:
    """Run the subcommand named first on the command line; 130 when Ctrl-C ended it."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: ./dev COMMAND [OPTION ...]\n")
        for name, purpose in COMMANDS.items():
            print(f"  {name:14} {purpose}")
        print("\n./dev COMMAND --help tells its options.")
        return 0 if arguments else 2
    command = arguments[0]
    if command not in COMMANDS:
        print(f"dev: there is no command {command!r}; the commands are: {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    try:
        module = importlib.import_module(f"callvoip.commands.{command.replace('-', '_')}")
        result: int = module.main(arguments[1:])
    except KeyboardInterrupt:
        return 130
    return result
