//! Calls [`tender::cli`] and turns its result into an exit code.

fn main() -> std::process::ExitCode {
    tender::cli::main()
}
