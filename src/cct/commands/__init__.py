"""The subcommands of `cct`, one module each: `add_arguments(parser)` and `main(arguments)`. `cct.cli` lists them."""
