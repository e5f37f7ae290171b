//! Modules that only the masterservice places.

use std::net::SocketAddr;

use otus::proto::reverse_a::{Request, Response, reverse_server};
use prost::Message;
use tonic::Status;

use super::{Caller, failure, own, request, value};
use crate::support::gateway::on_both_drivers;
use crate::support::h2::{Client, framed, status};
use crate::support::proxy;
use crate::support::service::{Service, Serving, json_any};

const CALL: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];

/// Knows where `echo` and `talk` run, and nothing else.
struct Master(SocketAddr);

#[tonic::async_trait]
impl reverse_server::Reverse for Master {
    async fn r#do(
        &self,
        request: tonic::Request<Request>,
    ) -> Result<tonic::Response<Response>, Status> {
        let module = request.into_inner().module.unwrap_or_default();
        let (host, port) = match module.as_str() {
            "echo" | "talk" => ("\"127.0.0.1\"".to_owned(), format!("\"{}\"", self.0.port())),
            _ => ("\"\"".to_owned(), "\"\"".to_owned()),
        };
        let data = [("host", host), ("port", port)];
        let data = data.map(|(name, json)| (name.to_owned(), json_any(&json))).into();
        Ok(tonic::Response::new(Response { data, ..Response::default() }))
    }
}

#[test]
fn calls_and_streams_find_modules_through_the_masterservice() {
    on_both_drivers(|io| {
        let service = Service::start();
        let address = service.address;
        let master = Serving::start("127.0.0.1:0".parse().unwrap(), move |mut server| {
            server.add_service(reverse_server::ReverseServer::new(Master(address)))
        });
        let settings = format!(
            "server.grpc_port = 0\nserver.grpc_ip = \"127.0.0.1\"\nserver.masterservice = true\n\
             gufo.strict_legacy_status = false\n\
             [microservices.masterservice]\nhost = \"127.0.0.1\"\nport = {}\n",
            master.address.port()
        );
        let gateway = proxy::start(io, &settings);
        let mut caller = Caller::connect(&gateway);
        assert_eq!(value(&caller.ask(&request("echo", "hello")), "id"), "9007199254740993");
        for unknown in ["nobody", "health", "a/b"] {
            assert_eq!(failure(&caller.ask(&request(unknown, "x"))).0, "404", "{unknown}");
        }
        let client = Client::connect(own(&gateway));
        let first = framed(&request("talk", "early").encode_to_vec());
        let reply = client.send("POST", "/Reverse/Stream", &CALL, &first);
        assert_eq!(status(&reply), "0");
        assert_eq!(service.journal.begun(0), request("talk", "early"));
        gateway.is_clean();
    });
}
