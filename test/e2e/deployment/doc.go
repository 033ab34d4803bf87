// Package deployment tests the files in deploy: images, archives, the unit, the chart, alerts,
// and proxies while replicas restart. Its tests have the build tag deployment, because they
// need programs of Debian and a quarter of an hour. Run them with "make deploy-test".
package deployment
