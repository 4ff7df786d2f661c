use std::fmt;
use std::sync::Arc;

use crate::connection::Connection;
use crate::kept::{Key, Lease, Owner};
use crate::response::ResponseBody;
use crate::sending::{Sending, Unsent};
use crate::session::Fresh;
use crate::slots::Slot;
use crate::{
    EgressError, EgressOutcome, Exchange, InvalidRoots, Payload, Protection, Roots, Target, Timeouts, Trust,
    Turn, connection,
};
use connection::{Metered, Reached, Spoken};
use http::Response;
use tokio::time::{Instant, timeout, timeout_at};

/// Sends the requests of one app, and keeps its connections. A clone costs reference counts, and shares them; they are
/// closed with the last clone.
///
/// A connection over TLS is kept when a response was received whole, for the next request to the same host and port under
/// the same [`Trust`]. Over HTTP/2 several requests share one.
#[derive(Clone)]
pub struct Client {
    trust: Trust,
    owner: Arc<Owner>,
}

/// A request that may be sent.
#[derive(Debug)]
pub struct Request {
    /// With an absolute URI.
    pub message: http::Request<Payload>,
    /// Where the message goes: what its URI says.
    pub target: Target,
    /// None: what the app trusts.
    pub trust: Option<Trust>,
    pub timeouts: Timeouts,
}

impl Client {
    /// A client that trusts these roots alone, for requests that bring no [`Trust`] of their own.
    ///
    /// # Errors
    /// [`InvalidRoots`] where one of them is no certificate.
    pub fn new(roots: Roots) -> Result<Self, InvalidRoots> {
        Ok(Self { trust: Trust::of_app(roots)?, owner: Owner::new() })
    }

    /// Waits for its turn, sends, and waits for the head of the response. Whether the app's policy allows the request is
    /// the caller's to ask. Nothing is left of it where the future is dropped.
    ///
    /// Where a kept connection turns out to be closed, the request is sent once more over a new one, if the server cannot
    /// have acted on it or the method is idempotent: RFC 9110, section 9.2.2.
    ///
    /// # Errors
    /// Any. The log is told.
    pub async fn send(
        &self,
        request: Request,
        turn: Turn<'_>,
        exchange: Arc<Exchange>,
    ) -> Result<Response<ResponseBody>, EgressError> {
        let arrived = self.exchange_heads(request, turn, Arc::clone(&exchange)).await;
        if let Err(error) = &arrived {
            exchange.end(EgressOutcome::Failed(error.name()));
        }
        arrived
    }

    async fn exchange_heads(
        &self,
        request: Request,
        turn: Turn<'_>,
        exchange: Arc<Exchange>,
    ) -> Result<Response<ResponseBody>, EgressError> {
        let Request { message, target, trust, timeouts } = request;
        let (head, payload) = message.into_parts();
        let trust = trust.as_ref().unwrap_or(&self.trust);
        let lane = turn.wait().await?;
        let key = (target.protection() == Protection::Tls).then(|| Key::new(&target, trust.id));
        let mut sending = Sending { head, payload, target, timeouts, exchange, lane };
        if let Some(key) = &key
            && let Some(lease) = self.kept(key).await
        {
            match sending.over(lease).await {
                Ok(response) => return Ok(response),
                Err(Unsent { again: Some(again), .. }) => sending = *again,
                Err(Unsent { error, again: None }) => return Err(error),
            }
        }
        let connection = self.open(&sending, trust).await?;
        let lease = self.owner.first(connection, key);
        sending.over(lease).await.map_err(|unsent| unsent.error)
    }

    async fn kept(&self, key: &Key) -> Option<Lease> {
        loop {
            let mut lease = self.owner.take(key)?;
            if lease.is_ready().await {
                return Some(lease);
            }
        }
    }

    async fn open(&self, sending: &Sending, trust: &Trust) -> Result<Connection, EgressError> {
        let Sending { target, timeouts, exchange, .. } = sending;
        let deadline = Instant::now() + timeouts.connect;
        let late = |_| EgressError::ConnectTimeout;
        let slot = timeout_at(deadline, Slot::wait()).await.map_err(late)??;
        let reached = timeout_at(deadline, connection::reach(target, trust)).await.map_err(late)??;
        let stream = match reached {
            Reached::Plaintext(stream) => {
                return Connection::over(Metered::new(stream, slot), Spoken::PLAINTEXT).await;
            }
            Reached::Tls(stream) => *stream,
        };
        let spoken = Spoken::by(&stream);
        exchange.set_tls(spoken.tls);
        let stream = Metered::new(stream, slot);
        let Some(check) = &trust.check else { return Connection::over(stream, spoken).await };
        let mut session = Fresh::new(stream, target);
        let checked = timeout(timeouts.first_byte, check.check(&mut session)).await;
        checked.map_err(|_| EgressError::ReadTimeout)??;
        session.into_connection().await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
