//! Where clusters' API servers are: a port of loopback and a certificate authority for each.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::Error;
use crate::aws::credentials::write_private;
use crate::aws::kinds::{ClusterEndpoint, ClusterEndpoints};
use crate::server::make_private_dir;

/// The first port that is tried for a cluster; the next ones follow.
const FIRST_PORT: u16 = 4578;
const PORTS: u16 = 200;

/// The places of all clusters of a world, in a folder: `<id>/{port,ca.pem,ca-key.pem}`.
#[derive(Debug)]
pub(crate) struct Endpoints {
    folder: PathBuf,
    /// Ports that were given away and whose servers do not run yet.
    reserved: Mutex<BTreeMap<String, TcpListener>>,
}

impl Endpoints {
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        make_private_dir(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            reserved: Mutex::default(),
        })
    }

    /// The folder of a cluster.
    pub(crate) fn folder(&self, id: &str) -> PathBuf {
        self.folder.join(id)
    }

    /// The folder of all clusters.
    pub(crate) fn root(&self) -> &Path {
        &self.folder
    }

    /// The listener of a cluster's port, for the one that serves it.
    pub(crate) fn listener(&self, id: &str) -> std::io::Result<TcpListener> {
        let held = self
            .reserved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
        let listener = match held {
            Some(listener) => listener,
            None => bind(self.port(id)?)?,
        };
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Gives a cluster another port: somebody has taken its own while it was not served. Returns its endpoint.
    pub(crate) fn move_away(&self, id: &str) -> Result<String, String> {
        let listener = self.free_port()?;
        let port = listener
            .local_addr()
            .map_err(|error| error.to_string())?
            .port();
        write_private(&self.folder(id).join("port"), port.to_string().as_bytes())
            .map_err(|error| error.to_string())?;
        self.reserved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.to_owned(), listener);
        Ok(url(port))
    }

    fn port(&self, id: &str) -> std::io::Result<u16> {
        fs::read_to_string(self.folder(id).join("port"))?
            .trim()
            .parse()
            .map_err(std::io::Error::other)
    }

    /// The TLS side of a cluster's server: a certificate for loopback from the cluster's authority.
    pub(crate) fn tls(&self, id: &str) -> Result<Arc<rustls::ServerConfig>, String> {
        let folder = self.folder(id);
        let read = |name: &str| {
            fs::read_to_string(folder.join(name))
                .map_err(|error| format!("cannot read {}: {error}", folder.join(name).display()))
        };
        let told = |error: &dyn std::fmt::Display| format!("the cluster's certificate: {error}");
        let authority_key =
            KeyPair::from_pem(&read("ca-key.pem")?).map_err(|error| told(&error))?;
        let authority_pem = read("ca.pem")?;
        let authority = Issuer::from_ca_cert_pem(&authority_pem, authority_key)
            .map_err(|error| told(&error))?;
        let key = KeyPair::generate().map_err(|error| told(&error))?;
        let names = [
            "127.0.0.1",
            "localhost",
            "kubernetes",
            "kubernetes.default.svc",
        ];
        let mut params =
            CertificateParams::new(names.map(str::to_owned)).map_err(|error| told(&error))?;
        params
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params
            .signed_by(&key, &authority)
            .map_err(|error| told(&error))?;
        let authority = CertificateDer::from_pem_slice(authority_pem.as_bytes())
            .map_err(|error| told(&error))?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| told(&error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| told(&error))?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone(), authority], key)
            .map_err(|error| told(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Clusters that have a place, by id.
    pub(crate) fn known(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }

    /// Takes a place away for good, with all that the cluster has stored.
    pub(crate) fn remove(&self, id: &str) -> std::io::Result<()> {
        self.reserved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
        fs::remove_dir_all(self.folder(id))
    }

    fn make(&self, id: &str) -> Result<(), String> {
        let folder = self.folder(id);
        make_private_dir(&folder).map_err(|error| error.to_string())?;
        let write = |name: &str, text: &str| {
            write_private(&folder.join(name), text.as_bytes()).map_err(|error| error.to_string())
        };
        let told = |error: rcgen::Error| format!("no certificate authority can be made: {error}");
        let key = KeyPair::generate().map_err(told)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "kubernetes");
        let certificate = params.self_signed(&key).map_err(told)?;
        let listener = self.free_port()?;
        let port = listener
            .local_addr()
            .map_err(|error| error.to_string())?
            .port();
        write("ca-key.pem", &key.serialize_pem())?;
        write("ca.pem", &certificate.pem())?;
        // The last: what has it is whole.
        write("port", &port.to_string())?;
        self.reserved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.to_owned(), listener);
        Ok(())
    }

    /// A port that nobody listens on and no other cluster has.
    fn free_port(&self) -> Result<TcpListener, String> {
        let taken: Vec<u16> = self
            .known()
            .iter()
            .filter_map(|id| self.port(id).ok())
            .collect();
        // Each world begins elsewhere: while one is down, another one's clusters take none of its ports.
        let mut hasher = DefaultHasher::new();
        self.folder.hash(&mut hasher);
        let first = u16::try_from(hasher.finish() % u64::from(PORTS)).unwrap_or(0);
        (0..PORTS)
            .map(|number| FIRST_PORT + (first + number) % PORTS)
            .filter(|port| !taken.contains(port))
            .find_map(|port| bind(port).ok())
            .map_or_else(|| bind(0), Ok)
            .map_err(|error| format!("no port of loopback is free: {error}"))
    }
}

fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

fn bind(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

impl ClusterEndpoints for Endpoints {
    fn assign(&self, id: &str) -> Result<ClusterEndpoint, String> {
        if self.port(id).is_err() {
            self.make(id)?;
        }
        let port = self.port(id).map_err(|error| error.to_string())?;
        let path = self.folder(id).join("ca.pem");
        let certificate_authority = fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Ok(ClusterEndpoint {
            url: url(port),
            certificate_authority,
        })
    }
}

/// Places that nobody serves, as AWS would name them.
#[cfg(test)]
pub(crate) struct Unserved;

#[cfg(test)]
impl ClusterEndpoints for Unserved {
    fn assign(&self, id: &str) -> Result<ClusterEndpoint, String> {
        Ok(ClusterEndpoint {
            url: format!("https://{id}.gr7.eu-central-1.eks.amazonaws.com"),
            certificate_authority: "-----BEGIN CERTIFICATE-----\n".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_keeps_its_place_and_gives_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let endpoints = Endpoints::open(folder.path()).unwrap();
        let first = endpoints.assign("A1").unwrap();
        assert_eq!(endpoints.assign("A1"), Ok(first.clone()));
        let second = endpoints.assign("B2").unwrap();
        assert_ne!(first.url, second.url);
        assert_ne!(first.certificate_authority, second.certificate_authority);
        drop(endpoints);
        let endpoints = Endpoints::open(folder.path()).unwrap();
        assert_eq!(endpoints.assign("A1"), Ok(first.clone()));
        let listener = endpoints.listener("A1").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(first.url, format!("https://127.0.0.1:{port}"));
        endpoints.tls("A1").unwrap();
        // Somebody has its port while it is not served.
        assert!(endpoints.listener("A1").is_err());
        let moved = endpoints.move_away("A1").unwrap();
        assert_ne!(moved, first.url);
        assert_eq!(endpoints.assign("A1").map(|place| place.url), Ok(moved));
        endpoints.listener("A1").unwrap();
        endpoints.remove("A1").unwrap();
        assert_eq!(endpoints.known(), ["B2"]);
    }
}
