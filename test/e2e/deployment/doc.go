// Package deployment tells whether what is in deploy works: images, archives, the unit,
// the chart, alerts, and proxies while replicas restart. Its tests have the build tag
// deployment, because they need programs of Debian and a quarter of an hour; run them with
// "make deploy-test".
package deployment
