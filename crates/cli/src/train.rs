//! x
#[derive(Debug, clap::Args)] pub struct Args{} 
pub fn run(_:&Args)->wgrad_core::Result<()>{Ok(())}
