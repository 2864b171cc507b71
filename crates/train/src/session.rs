//! The trainer's session, opened on first use.

use wgrad_core::{Backend, DeviceError, Params, Result, Session};

use crate::snapshot::Snapshot;

/// Device and parameters of a trainer. The session is opened on first use, so that parameters can be declared
/// until then.
pub(crate) struct LazySession {
    backend: Option<Box<dyn Backend>>,
    session: Option<Session>,
    params: Params,
}

impl LazySession {
    pub fn new(backend: Box<dyn Backend>, params: &Params) -> Self {
        Self { backend: Some(backend), session: None, params: params.clone() }
    }

    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Returns the session. The first call opens it.
    pub fn get(&mut self) -> Result<&mut Session> {
        self.params.check()?;
        if let Some(backend) = self.backend.take() {
            self.session = Some(Session::new(backend, &self.params)?);
        }
        self.session.as_mut().ok_or_else(|| DeviceError::LostBefore.into())
    }

    /// Copies the values of all variables from the device to the host.
    pub fn sync(&mut self) -> Result<()> {
        self.get()?.sync()
    }

    /// Copies the values of all variables from the device to the host, and returns a snapshot of them.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        self.sync()?;
        Snapshot::take(&self.params)
    }
}
