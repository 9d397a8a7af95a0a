package sts
