//! Calls [`tender::cli`] and turns its result into an exit code.

fn main() -> std::process::ExitCode {
    #[cfg(feature = "failpoints")]
    if let Err(error) = tender::crash::arm() {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("tender: {error:#}\n").as_bytes());
        return std::process::ExitCode::FAILURE;
    }
    tender::cli::main()
}
