//! An MCP server made with rmcp, whose only tool blocks.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, schemars, tool, tool_handler, tool_router};

#[derive(Clone, Debug)]
struct Thinker;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Thinking {
    /// For how long.
    millis: u64,
}

#[tool_router]
impl Thinker {
    #[tool(description = "Thinks, and says nothing meanwhile")]
    async fn think(&self, Parameters(Thinking { millis }): Parameters<Thinking>) -> String {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        "forty-two".to_owned()
    }
}

#[tool_handler]
impl ServerHandler for Thinker {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

/// The server at `/mcp`. It answers in JSON, so there is no head before the tool has done its work.
pub fn app() -> Router {
    let config =
        StreamableHttpServerConfig::default().with_legacy_session_mode(false).with_json_response(true);
    let service =
        StreamableHttpService::new(|| Ok(Thinker), Arc::new(LocalSessionManager::default()), config);
    Router::new().route_service("/mcp", service)
}
