//! What every process needs: settings, logging, supervision, HTTP accept loop, health and metrics, exit codes.
